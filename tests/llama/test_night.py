"""The short form of a night with a server (night.py), and what its looks tell apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from night import SEED, SHORT, Night
from night_truth import LAG_LOOKS, LAG_SECONDS, Alive, Truth, Watch, never_so, not_so

LAUNCH = "20260101-000000-aaaaaaaa"
WORDS = ("/opt/llama-server", "-m", "m.gguf", "-c", "4096", "-np", "4", "-ctk", "q8_0", "-ctv", "q8_0", "--port", "8123")
SERVER = Alive(LAUNCH, 4711, WORDS, 200, slots=4, busy=1, counted=100.0, most=108.0)
SHOWN = {
    "launch": LAUNCH,
    "running": True,
    "ready": True,
    "text": "ready",
    "types": ["q8_0", "q8_0"],
    "used": 40,
    "context": 4096,
    "slots": 4,
    "busy": 1,
    "generated": 104.0,
    "head": " running: q8_0 4k, port 8123  on screen: the same  ready ctx 40/4,096",
}


def test_what_is_so_is_not_held_against_an_app() -> None:
    truth = Truth((SERVER,))
    assert (never_so(SHOWN, truth), not_so(SHOWN, truth)) == ([], [])


@pytest.mark.parametrize(
    ("shown", "so", "says"),
    [
        ({}, {"health": 503}, "/health says that it loads"),
        ({"head": " running: q8_0 4k, port 8124 "}, {}, "port 8124"),
        ({"head": " running: f16 4k, port 8123 "}, {}, "shown as f16"),
        ({"head": " running: q8_0 8k, port 8123 "}, {}, "context 8k"),
        ({"types": ["f16", "f16"]}, {}, "the plan on the screen as the one that runs"),
        ({"context": 16384}, {}, "16384 cells"),
        ({"used": 4097}, {}, "4097 of 4096"),
        ({"slots": 1}, {}, "1 slots, and /slots has 4"),
        ({"generated": 109.0}, {}, "109 tokens, and it has made 108"),
    ],
)
def test_what_was_never_so_is_told_at_once(shown: dict[str, Any], so: dict[str, Any], says: str) -> None:
    watch = Watch()
    watch.saw({**SHOWN, **shown}, Truth((replace(SERVER, **so),)), 0.0)
    assert len(watch.wrong) == 1
    assert says in watch.wrong[0]


@pytest.mark.parametrize(
    ("shown", "truth", "says"),
    [
        ({}, Truth(), "/proc has it not"),
        ({"running": False, "ready": False, "text": "stopped"}, Truth((SERVER,)), "'stopped', and /proc has it as pid 4711"),
        ({"running": False, "ready": False, "launch": ""}, Truth((SERVER,)), f"no word of {LAUNCH}"),
        ({"ready": False, "text": "loading 40%"}, Truth((SERVER,)), "'loading 40%', and /health says that it is ready"),
        ({"busy": 3}, Truth((SERVER,)), "busy slots"),
        ({"generated": 99.0}, Truth((SERVER,)), "fewer tokens"),
        ({}, Truth((SERVER,), ("pid 12, which pid 11 asked for its words,",)), "pid 12"),
    ],
)
def test_what_is_over_may_be_shown_for_a_moment_alone(shown: dict[str, Any], truth: Truth, says: str) -> None:
    told, watch = {**SHOWN, **shown}, Watch()
    step = LAG_SECONDS / LAG_LOOKS
    for look in range(LAG_LOOKS):
        watch.saw(told, truth, look * step)
    assert watch.wrong == []
    for look in range(LAG_LOOKS, LAG_LOOKS + 3):
        watch.saw(told, truth, look * step)
    assert len(watch.wrong) == 1
    assert says in watch.wrong[0]


def test_a_look_at_which_it_is_so_begins_the_wait_anew() -> None:
    watch = Watch()
    for look in range(4 * LAG_LOOKS):
        watch.saw({**SHOWN, "busy": 1 + look % 3}, Truth((SERVER,)), float(look))
    assert watch.wrong == []


@pytest.mark.usefixtures("computes")
def test_nothing_is_orphaned_lost_or_misreported(
    gemma: Path, server_path: Path, rpc_endpoints: tuple[str, ...], tmp_path: Path
) -> None:
    counted = Night(gemma, server_path, ",".join(rpc_endpoints), tmp_path, SHORT, SEED).run()
    assert (counted.kills, counted.relaunches) == (SHORT.kills, SHORT.relaunches)
    assert counted.answered + counted.told == SHORT.requests
    assert (counted.orphaned, counted.lost, counted.misreported) == ([], [], [])
