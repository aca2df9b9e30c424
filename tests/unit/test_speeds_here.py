"""Speeds measured on this machine: told of the very same plan, forgotten where a condition is another."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.base.build import parse_build
from kvtui.base.clock import when
from kvtui.placement.plan import Plan, make_plan
from kvtui.server.measure.measured import conditions
from kvtui.server.measure.speeds import MeasuredSpeed, SpeedSetting, keep_speed, kept_speeds, recall_speed
from kvtui.tasks.demo import demo_request
from kvtui.tasks.speeds_here import FASTER_HERE, SPEED_HERE, asked_digest, speed_setting, with_speed_here


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(demo_request())


@pytest.fixture(scope="module")
def setting(plan: Plan) -> SpeedSetting:
    return speed_setting(plan.request)


def speed(setting: SpeedSetting, plan: Plan, argv: Sequence[str], decode: float = 8.0) -> MeasuredSpeed:
    return MeasuredSpeed(setting, conditions(argv), time.time(), 2000, 80, 100.0, decode, asked_digest(plan.request))


def told(plan: Plan, state: Path, more: Sequence[str] = ()) -> dict[str, str]:
    before = len(plan.findings)
    return {f.code: f.message for f in with_speed_here(plan, more, state).findings[before:]}


def test_the_same_plan_is_told_what_was_measured(plan: Plan, setting: SpeedSetting, tmp_path: Path) -> None:
    assert told(plan, tmp_path) == {}
    kept = speed(setting, plan, plan.argv)
    keep_speed(kept, tmp_path)
    assert plan.speed is not None
    said = f"(said {plan.speed.low:.3g} to {plan.speed.high:.3g})"
    text = f"measured here, {when(kept.at)}: 8 tokens/s {said} behind 2,000 tokens, which were read at 100 tokens/s"
    assert told(plan, tmp_path) == {SPEED_HERE: text}
    assert recall_speed(setting, ("--port", "9000", *plan.argv), (2000, 80), tmp_path) == kept  # a port decides no speed
    assert recall_speed(setting, plan.argv, (2000, 81), tmp_path) is None


def test_it_is_forgotten_where_build_driver_flags_or_server_are_others(plan: Plan, setting: SpeedSetting, tmp_path: Path) -> None:
    keep_speed(speed(setting, plan, plan.argv), tmp_path)
    later = replace(plan, request=replace(plan.request, build=parse_build("b11549")))
    assert told(later, tmp_path) == {}
    other = replace(plan, request=replace(plan.request, server="b11434@another"))
    assert told(other, tmp_path) == {}
    assert SPEED_HERE not in told(replace(plan, argv=(*plan.argv, "-t", "8")), tmp_path)
    assert told(plan, tmp_path, more=("-t", "8")) == {}
    newer = tmp_path / "newer"
    keep_speed(speed(replace(setting, driver="999.99"), plan, plan.argv), newer)
    assert told(plan, newer) == {}


def test_a_faster_plan_of_the_same_request_is_named(plan: Plan, setting: SpeedSetting, tmp_path: Path) -> None:
    keep_speed(speed(setting, plan, plan.argv), tmp_path)
    faster = tuple("2048" if before == "-ub" else word for before, word in zip(("", *plan.argv), plan.argv, strict=False))
    keep_speed(replace(speed(setting, plan, faster), prompt_rate=400.0), tmp_path)
    text = told(plan, tmp_path)[FASTER_HERE]
    assert "a turn of 2,000 + 80 tokens in 15.0 s instead of 30.0 s, with -ub 2048;" in text
    assert text.startswith("another plan was faster here, ")
    third = replace(plan, argv=(*plan.argv, "-ot", "ffn_up_exps=CPU"))  # not measured itself
    assert told(third, tmp_path)[FASTER_HERE].startswith("kvtui tune found another plan fastest here, ")
    mine = replace(plan, argv=faster)
    assert FASTER_HERE not in told(mine, tmp_path)
    asked_more = make_plan(replace(plan.request, context=replace(plan.request.context, n_ctx=64000)))
    assert told(asked_more, tmp_path) == {}


def test_a_damaged_file_is_set_aside_and_named(plan: Plan, setting: SpeedSetting, tmp_path: Path) -> None:
    keep_speed(speed(setting, plan, plan.argv), tmp_path)
    (file,) = (tmp_path / "speeds").glob("*.json")
    file.write_text(file.read_text().replace('"decode_rate": 8.0', '"decode_rate": 0.0'))
    assert kept_speeds(tmp_path) == ()
    assert list(told(plan, tmp_path)) == ["set-aside"]


def test_another_day_has_its_date() -> None:
    now = time.time()
    assert when(now) == time.strftime("%H:%M", time.localtime(now))
    assert when(now - 3 * 86400).startswith(time.strftime("%Y-%m-%d ", time.localtime(now - 3 * 86400)))
