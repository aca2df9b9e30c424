"""Decode speed as measured: posted runs against what is said of them, and the yardstick against the sum of the contract."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.cli.commands import cli
from kvtui.memory.compute.operations import operations_a_block
from kvtui.model.load import model_from_header
from kvtui.placement.pace import calibrated_seconds, pace
from kvtui.placement.plan import quick_plan
from kvtui.tasks.demo import demo_request
from tests.bench.speeds import case
from tests.header_archive import HeaderArchive

ROWS = json.loads((Path(__file__).parent.parent / "data" / "speeds.json").read_text(encoding="utf-8"))["rows"]


def test_posted_speeds_are_what_is_said_of_them() -> None:
    off = []
    inside = 0
    for row in ROWS:
        seconds = calibrated_seconds(*case(row), pace())
        assert seconds is not None
        off.append(abs(1 / seconds / row["tok_s"] - 1))
        inside += pace().low <= row["tok_s"] * seconds <= pace().high
    assert statistics.median(off) < 0.08
    assert inside >= 0.8 * len(ROWS)


@pytest.mark.parametrize("types", ["f16", "q8_0", "q5_1", "iq4_nl"])
def test_the_plans_yardstick_is_that_of_its_search(types: str) -> None:
    request = demo_request()
    plan = quick_plan(replace(request, context=replace(request.context, type_k=types, type_v=types, n_ctx=32768)))
    assert plan.speed is not None
    assert plan.speed.decode_seconds_per_token == pytest.approx(plan.found.best.score.seconds, rel=1e-12)
    assert plan.speed.low < plan.speed.tokens_per_second < plan.speed.tokens_per_second_empty < plan.speed.high


def test_exact_flags_have_a_speed(headers: HeaderArchive, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """8.03 G weights and 8 GiB of K/V at 1,008 GB/s, by the yardstick; -ngl 0 leaves them to RAM."""
    path = str(headers.write("llama-3.1-8b-q4_k_m", tmp_path))
    device = ["--device", "CUDA0=22GiB/24GiB@1008GB/s", "--ram", "64GiB@50GB/s", "--json", "--"]
    found = {}
    for name, flags in (("devices", []), ("ram", ["-ngl", "0"])):
        with pytest.raises(SystemExit):
            cli(["estimate", path, *device, "-c", "65536", "-np", "1", *flags])
        found[name] = json.loads(capsys.readouterr().out)["speed"]
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "")
    read = sum(t.n_bytes for t in model.tensors if t.kind != "input") + 8 * 2**30
    assert found["devices"]["decode_seconds_per_token"] == pytest.approx(read / 1008e9)
    assert found["ram"]["decode_seconds_per_token"] == pytest.approx(read / 50e9)


def test_operations_of_a_block_are_those_of_its_graph(headers: HeaderArchive) -> None:
    """A dense block: seven products, four additions to the stream and cache, two norms with scales, two ropes, attention, glu."""
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "")
    assert 19 <= operations_a_block(model) <= 22
