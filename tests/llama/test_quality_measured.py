"""`kvtui quality` with the prebuilt llama-server and gemma-3-270m: measured, ended in the middle, taken up again, shown."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from kvtui.server.program.marks import ASKED_VARIABLE, marked

PAIRS = ("--pair", "q8_0/q8_0", "--pair", "q4_0/q4_0")
SMALL = ("--positions", "6", "--json", "--", "-c", "256", "-np", "1", "-t", "2", "-fa", "on", "--fit", "off", "--no-warmup")


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(state)}


def started(server: Path, model: Path, state: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kvtui", "quality", str(model), "--llama-server", str(server), *args]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment(state)
    )


def asked_by(pid: int) -> list[str]:
    return [str(m) for m in marked(ASKED_VARIABLE) if m.mark.startswith(f"{pid} ")]


@pytest.mark.usefixtures("computes")
def test_ended_in_the_middle_taken_up_again_and_shown(server_path: Path, gemma: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    broken = started(server_path, gemma, state, *PAIRS, *SMALL)
    assert broken.stderr is not None
    for line in broken.stderr:
        if line == "kvtui: q4_0/q4_0: reading\n":
            break
    assert asked_by(broken.pid)
    broken.send_signal(signal.SIGTERM)
    out, _ = broken.communicate(timeout=30)
    assert (broken.returncode, out) == (128 + signal.SIGTERM, "")
    wait_until(lambda: not asked_by(broken.pid), "its server is gone")
    kept = sorted(f.name.partition("-")[2] for f in (state / "kvtui" / "quality").rglob("*") if f.is_file())
    assert kept == ["", "q8_0-q8_0.json"]  # the reference, and the pair that was done

    out, said = started(server_path, gemma, state, *PAIRS, *SMALL).communicate(timeout=120)
    assert "f16/f16:" not in said
    assert "q8_0/q8_0:" not in said
    assert "q4_0/q4_0: reading" in said
    value = json.loads(out)
    eight, four = value["pairs"]
    assert [(p["class"], p["measured_before"], p["problem"]) for p in (eight, four)] == [
        ("measured here", True, ""),
        ("measured here", False, ""),
    ]
    assert 0 < eight["mean_kl_divergence"] < four["mean_kl_divergence"] < 1
    assert eight["mean_kl_divergence"] <= eight["kl_divergence_99_9"]
    assert eight["positions"] == 6
    assert eight["top_1_agreement"] >= 0.5
    assert (eight["context"], eight["needles"]["asked"]) == (256, 3)

    out, said = started(server_path, gemma, state, *PAIRS, *SMALL).communicate(timeout=30)
    assert said == ""
    assert [p["measured_before"] for p in json.loads(out)["pairs"]] == [True, True]

    command = [sys.executable, "-m", "kvtui", "table", str(gemma), "-c", "512", "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, env=environment(state), check=True).stdout)["rows"]
    row = next(r for r in rows if (r["type_k"], r["type_v"]) == ("q4_0", "q4_0"))
    first = row["quality"]["figures"][0]
    assert (first["kin"], first["value"]) == ("measured here", four["mean_kl_divergence"])
    assert row["quality"]["measured_here"]


@pytest.mark.usefixtures("computes")
def test_a_pair_that_is_refused_leaves_the_reason(server_path: Path, gemma: Path, tmp_path: Path) -> None:
    args = ("--pair", "f16/q8_0", "--positions", "2", "--json", "--", "-c", "256", "-np", "1", "-t", "2", "-fa", "off")
    child = started(server_path, gemma, tmp_path, *args, "--fit", "off", "--no-warmup")
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 1
    (pair,) = json.loads(out)["pairs"]
    assert "a quantized V cache needs flash attention" in pair["problem"]
    assert "mean_kl_divergence" not in pair
    assert not list((tmp_path / "kvtui" / "quality").glob("pairs/*"))
