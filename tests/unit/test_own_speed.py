"""What a server's requests show of its speed, from its counters to the figures of the very plan it ran."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.base.build import parse_build
from kvtui.base.clock import when
from kvtui.placement.measured_speed import Reading, through
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.speed import MEASURED_HERE
from kvtui.report.as_json import speed_json
from kvtui.report.as_text import speed_line
from kvtui.server.http.client import Slot
from kvtui.server.measure.served import Idle, ServedRate, served_since
from kvtui.server.measure.speeds import MeasuredSpeed, keep_rate, keep_speed, kept_rates
from kvtui.server.process.record import ServerRecord
from kvtui.tasks.demo import demo_request
from kvtui.tasks.launch import record_plan
from kvtui.tasks.own_speed import keep_served, known_rates, with_own_speed
from kvtui.tasks.speeds_here import speed_setting
from kvtui.tui.draw.placement import speed_text

FREE = (Slot(0, 8192, 0, False), Slot(1, 8192, 0, False))
NOTHING = {
    "prompt_tokens_total": 0.0,
    "prompt_seconds_total": 0.0,
    "tokens_predicted_total": 0.0,
    "tokens_predicted_seconds_total": 0.0,
    "n_decode_total": 0.0,
    "n_busy_slots_per_decode": 0.0,
}
ONE = {  # a prompt of 1000 in 5 s, 100 tokens in 4 s
    "prompt_tokens_total": 1000.0,
    "prompt_seconds_total": 5.0,
    "tokens_predicted_total": 100.0,
    "tokens_predicted_seconds_total": 4.0,
    "n_decode_total": 102.0,
    "n_busy_slots_per_decode": 1.0,
}
USED = (FREE[0], Slot(1, 8192, 1100, False))
DECODE, PROMPT = ServedRate("decode", 25.0, 100, 1050), ServedRate("prompt", 200.0, 1000, 1000)


@pytest.fixture(scope="module")
def plan() -> Plan:
    here = demo_request()
    devices = tuple(replace(d, simulated=False) for d in here.machine.devices)
    return make_plan(replace(here, machine=replace(here.machine, devices=devices)))


def record(plan: Plan, folder: Path, more: tuple[str, ...] = ()) -> ServerRecord:
    kept = record_plan(plan, folder / "model.gguf", more=more)
    return ServerRecord(folder, 1, "", "llama-server", "b11434", "model.gguf", (), "127.0.0.1", 8080, 0.0, plan=kept)


def test_a_request_alone_shows_both_rates_and_its_depth() -> None:
    assert served_since(Idle(NOTHING, FREE), ONE, USED) == (DECODE, PROMPT)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_busy_slots_per_decode": 1.5},  # two at once
        {"n_decode_total": 0.0},  # nothing was computed
    ],
)
def test_several_at_once_show_nothing(changed: Mapping[str, float]) -> None:
    assert served_since(Idle(NOTHING, FREE), {**ONE, **changed}, USED) == ()


def test_what_is_too_little_or_of_no_known_depth_shows_nothing() -> None:
    few = {**ONE, "tokens_predicted_total": 63.0, "prompt_tokens_total": 511.0}
    assert served_since(Idle(NOTHING, FREE), few, USED) == ()
    both = (Slot(0, 8192, 40, False), USED[1])
    assert served_since(Idle(NOTHING, FREE), ONE, both) == ()
    assert served_since(Idle(NOTHING, FREE), {k: n for k, n in ONE.items() if k != "n_decode_total"}, USED) == ()
    assert served_since(Idle(ONE, USED), NOTHING, FREE) == ()  # it was started anew


def test_counters_that_are_printed_too_coarsely_show_nothing() -> None:
    """After 10 million tokens the sixth digit stands for a hundred."""
    long = {name: 1e7 if "tokens" in name else 1e5 for name in ONE} | {"n_decode_total": 1e5, "n_busy_slots_per_decode": 1.0}
    after = {name: long[name] + ONE[name] for name in ONE} | {"n_busy_slots_per_decode": 1.0}
    assert served_since(Idle(long, FREE), after, USED) == ()


def test_the_curve_goes_through_what_was_measured(plan: Plan) -> None:
    speed = plan.speed
    assert speed is not None
    cells = 16000
    full, empty = 1 / speed.tokens_per_second, 1 / speed.tokens_per_second_empty
    for depth, at_depth in ((0, empty), (8000, (full + empty) / 2), (16000, full)):
        rate = 0.7 / at_depth
        found = through(speed, Reading(rate, depth, 1.0), None, cells)
        share = depth / cells
        moved = (1 - share) / found.tokens_per_second_empty + share / found.tokens_per_second
        assert 1 / moved == pytest.approx(rate)
        ratio = speed.tokens_per_second_empty / speed.tokens_per_second
        assert found.tokens_per_second_empty / found.tokens_per_second == pytest.approx(ratio)
        assert found.low < found.tokens_per_second < found.tokens_per_second_empty < found.high
        assert found.high / found.low < speed.high / speed.low
        assert (found.source, found.measured_at, found.prompt_source) == (MEASURED_HERE, 1.0, "calibrated")


def test_exactly_the_plan_that_ran_has_its_own_speed(plan: Plan, tmp_path: Path) -> None:
    assert with_own_speed(plan, (), known_rates(tmp_path)) == plan
    assert keep_served(record(plan, tmp_path), (DECODE, PROMPT), tmp_path)
    known = known_rates(tmp_path)
    own = with_own_speed(plan, (), known)
    assert own.speed is not None
    assert plan.speed is not None
    assert own.speed.source == MEASURED_HERE
    assert own.speed.prompt_tokens_per_second == 200.0
    assert replace(own, speed=plan.speed) == plan
    at = own.speed.measured_at
    assert at is not None
    assert f" a second, as measured here, {when(at)}: " in speed_line(own.speed)
    assert speed_text(own).endswith(f" when full, as measured here, {when(at)}")
    said = speed_json(own.speed)
    assert said is not None
    assert (said["source"], said["measured_at"]) == ("measured here", at)
    assert with_own_speed(own, (), known) == own  # what was moved is not moved again
    assert with_own_speed(own, (), ()).speed == plan.speed


def test_it_is_forgotten_where_a_condition_is_another(plan: Plan, tmp_path: Path) -> None:
    keep_served(record(plan, tmp_path), (DECODE, PROMPT), tmp_path)
    known = known_rates(tmp_path)
    request = plan.request
    simulated = tuple(replace(d, simulated=True) for d in request.machine.devices)
    others = (
        replace(plan, request=replace(request, build=parse_build("b11549"))),
        replace(plan, request=replace(request, server="b11434@another")),
        replace(plan, argv=(*plan.argv, "-t", "8")),
        replace(plan, request=replace(request, machine=replace(request.machine, devices=simulated))),
    )
    for other in others:
        assert with_own_speed(other, (), known) == other
    assert with_own_speed(plan, ("-t", "8"), known) == plan
    keep_rate(replace(known[0], setting=replace(known[0].setting, driver="999.99")), tmp_path / "driver")
    assert len(kept_rates(tmp_path / "driver")) == 1
    assert known_rates(tmp_path / "driver") == ()
    more = tmp_path / "more"
    keep_served(record(plan, tmp_path, ("-t", "8")), (DECODE,), more)
    assert with_own_speed(plan, (), known_rates(more)) == plan
    assert with_own_speed(plan, ("-t", "8"), known_rates(more)).speed != plan.speed


def test_a_prompt_that_fills_no_batch_is_not_what_the_prompt_speed_is_said_of(plan: Plan, tmp_path: Path) -> None:
    larger = replace(plan, request=replace(plan.request, context=replace(plan.request.context, n_ubatch=2048)))
    keep_served(record(larger, tmp_path), (PROMPT,), tmp_path)
    assert with_own_speed(larger, (), known_rates(tmp_path)) == larger
    keep_served(record(larger, tmp_path), (replace(PROMPT, tokens=4000, depth=4000),), tmp_path)
    own = with_own_speed(larger, (), known_rates(tmp_path)).speed
    assert own is not None
    assert (own.prompt_source, own.prompt_tokens_per_second, own.source) == (MEASURED_HERE, 200.0, "calibrated")


def test_a_run_that_was_measured_on_purpose_counts_too_and_the_newest_is_taken(plan: Plan, tmp_path: Path) -> None:
    keep_served(record(plan, tmp_path), (DECODE,), tmp_path)
    later = time.time() + 60
    setting = speed_setting(plan.request)
    seen = kept_rates(tmp_path)[0]
    keep_speed(MeasuredSpeed(setting, seen.argv, later, 2000, 100, 300.0, 8.0), tmp_path)
    own = with_own_speed(plan, (), known_rates(tmp_path)).speed
    assert own is not None
    assert (own.measured_at, own.prompt_tokens_per_second) == (later, 300.0)


def test_what_cannot_be_read_is_set_aside(plan: Plan, tmp_path: Path) -> None:
    keep_served(record(plan, tmp_path), (DECODE,), tmp_path)
    (file,) = (tmp_path / "served").glob("*.json")
    file.write_text(file.read_text().replace('"rate": 25.0', '"rate": -1'))
    assert kept_rates(tmp_path) == ()
    assert not keep_served(replace(record(plan, tmp_path), plan=None), (DECODE,), tmp_path)
