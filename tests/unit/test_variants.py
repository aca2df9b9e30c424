"""Plans that differ in kind, the order they are measured in, and what a bound rules out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.request import Request
from kvtui.placement.turn import Turn, expected_seconds, least_seconds, still_open
from kvtui.placement.variants import Variant, in_order, variants
from kvtui.tasks.demo import demo_request

GIB = 2**30
LONG = Turn(8000, 2000)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(demo_request())


def after(plan: Plan, flag: str) -> str:
    return plan.argv[plan.argv.index(flag) + 1]


def names(found: Sequence[Variant]) -> list[str]:
    return [v.name for v in found]


def test_they_differ_in_kind_and_fit(plan: Plan) -> None:
    found = variants(plan, LONG)
    assert len(found) == 5
    assert len({v.plan.argv for v in found}) == 5
    assert {"plan", "ubatch", "home"} <= {v.kind for v in found}
    assert all(v.plan.fits for v in found)
    assert {after(v.plan, "-c") for v in found} == {"132000"}
    assert [v.plan.argv for v in found if v.kind == "plan"] == [plan.argv]
    assert len(variants(plan, LONG, most=3)) == 3


def test_a_batch_beyond_the_prompt_is_none(plan: Plan) -> None:
    assert [v for v in variants(plan, Turn(512, 500)) if v.kind == "ubatch"] == []
    assert {after(v.plan, "-ub") for v in variants(plan, Turn(513, 500)) if v.kind == "ubatch"} == {"1024"}


def test_what_a_person_gave_stays(plan: Plan) -> None:
    of_batch = variants(plan, LONG, given=("n_ubatch",))
    assert {after(v.plan, "-ub") for v in of_batch} == {"512"}
    assert max(int(after(v.plan, "-ub")) for v in variants(plan, LONG, given=("n_batch",))) == 2048  # the plan's -b
    assert {after(v.plan, "-ctk") for v in variants(plan, LONG, given=("type_k",))} == {"f16"}


def test_of_like_cards_one_is_tried_first(plan: Plan) -> None:
    opened = [v for v in variants(plan, LONG, given=("n_ubatch",)) if v.name.endswith(" opened first")]
    assert names(opened) == ["CUDA2 opened first"]
    assert after(opened[0].plan, "-dev").startswith("CUDA2,")


def test_one_placement_after_the_other_and_the_best_first(plan: Plan) -> None:
    found = variants(plan, LONG)
    places = [v.placement for v in found]
    assert places == sorted(places, key=places.index)
    seconds = [expected_seconds(v.plan, LONG) for v in found]
    assert seconds[0] == min(seconds)
    assert names(in_order(tuple(reversed(found)), LONG)) == names(found)


def test_a_turn_never_takes_less_than_its_bound(plan: Plan) -> None:
    for v in variants(plan, LONG):
        assert 0 < least_seconds(v.plan, LONG) < expected_seconds(v.plan, LONG)
    assert plan.speed is not None
    # 255 tokens may leave experts unread: only decode counts
    assert least_seconds(plan, Turn(255, 100)) == pytest.approx(100 / plan.speed.high)
    assert least_seconds(plan, Turn(256, 100)) > 100 / plan.speed.high
    assert Turn(100, 50).seconds(prompt_rate=200, decode_rate=25) == 2.5


def test_without_a_bandwidth_nothing_is_ruled_out(plan: Plan) -> None:
    machine = plan.request.machine
    unknown = make_plan(replace(plan.request, machine=replace(machine, ram=replace(machine.ram, bandwidth=None))))
    assert unknown.speed is None
    assert least_seconds(unknown, LONG) == 0
    no_link = tuple(replace(d, link=None) for d in machine.devices)
    made = make_plan(replace(plan.request, machine=replace(machine, devices=no_link)))
    assert made.speed is not None
    assert least_seconds(made, LONG) == pytest.approx(LONG.generate / made.speed.high)


@pytest.mark.parametrize(("least", "best", "is_open"), [(3.0, None, True), (3.0, 3.1, True), (3.1, 3.1, False), (0.0, 0.1, True)])
def test_what_cannot_be_better_is_not_open(least: float, best: float | None, is_open: bool) -> None:
    assert still_open(least, best) is is_open


def test_another_pair_loses_nothing_and_has_its_own_kernels(loaded_headers: Mapping[str, Header]) -> None:
    model = model_from_header(loaded_headers["gemma-3-27b-q4_k_m"], "gemma")
    card = Device("CUDA0", 40 * GIB, 40 * GIB, bandwidth=936e9, link=25e9, compute_capability=86)
    made = make_plan(Request(model, ContextParams(n_ctx=8192, n_parallel=1), Machine((card,), HostMemory(64 * GIB, 64 * GIB))))
    by_kind = {v.kind: v for v in variants(made, LONG)}
    assert (after(by_kind["pair"].plan, "-ctk"), after(by_kind["pair"].plan, "-ctv")) == ("q8_0", "q8_0")
    assert "pair" not in {v.kind for v in variants(made, LONG, given=("type_k",))}  # f16/q8_0 is copied to f16 at each token
    assert "ubatch" not in by_kind  # nothing crosses a link
