"""A device on which a plan leaves nothing is not opened, unless it does something there."""

from collections.abc import Mapping

import pytest

from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.estimate import estimate
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Pin, Request
from kvtui.placement.unused import named

SMALL, LARGE = "llama-3.1-8b-q4_k_m", "qwen3-30b-a3b-q4_k_m"


def planned(headers: Mapping[str, Header], name: str, devices: tuple[str, ...], *pins: Pin) -> Plan:
    machine = Machine(parse_devices(devices), parse_ram("64GiB@60GB/s"))
    context = ContextParams(n_parallel=1, n_ctx=16384)
    return quick_plan(Request(model_from_header(headers[name], name), context, machine, pins=pins))


def opened(plan: Plan) -> str | None:
    return plan.argv[plan.argv.index("-dev") + 1] if "-dev" in plan.argv else None


def test_many_in_a_row_are_named_by_the_first_and_the_last() -> None:
    assert named([f"CUDA{i}" for i in range(1, 16)]) == "CUDA1 to CUDA15"
    assert named(["CUDA0", "CUDA2", "CUDA3", "CUDA5", "CUDA6", "CUDA7", "RPC8"]) == "CUDA0, CUDA2, CUDA3, CUDA5 to CUDA7, RPC8"
    assert named(["CUDA9", "CUDA10", "CUDA11", "GPU"]) == "CUDA9 to CUDA11, GPU"


@pytest.mark.parametrize(("pins", "used"), [((), 0), ((Pin("blk", "CUDA1"),), 1)])
def test_it_is_closed_and_takes_nothing(headers: Mapping[str, Header], pins: tuple[Pin, ...], used: int) -> None:
    plan = planned(headers, SMALL, ("CUDA0=24GiB@936GB/s", "CUDA1=24GiB@936GB/s", "CUDA2=24GiB@936GB/s"), *pins)
    assert plan.fits
    assert opened(plan) == f"CUDA{used}"
    assert "-ts" not in plan.argv
    assert [d.used_bytes > 0 for d in plan.estimate.devices] == [i == used for i in range(3)]
    others = [f"CUDA{i}" for i in range(3) if i != used]
    assert f"{', '.join(others)} are not opened: nothing would be there" in {f.message for f in plan.findings}
    model, machine, flags = plan.request.model, plan.request.machine, parse_flags(plan.argv)
    assert assign(model, flags, machine) == plan.assignment
    read = estimate(model, flags.context, plan.assignment, machine)
    assert [d.used_bytes for d in read.devices] == [d.used_bytes for d in plan.estimate.devices]


def test_the_request_stays_open_to_all(headers: Mapping[str, Header]) -> None:
    plan = planned(headers, SMALL, ("CUDA0=24GiB@936GB/s", "CUDA1=24GiB@936GB/s"))
    assert plan.request.opened is None


def test_one_that_stages_for_prompts_is_opened(headers: Mapping[str, Header]) -> None:
    """Its memory is slower than RAM, so that nothing is placed there, but its link is faster."""
    plan = planned(headers, LARGE, ("CUDA0=6GiB@10GB/s,link=50GB/s", "CUDA1=12GiB@936GB/s,link=3GB/s"))
    assert CPU in plan.places
    assert 0 not in {*plan.homes, *plan.places}
    assert opened(plan) is None
    assert plan.estimate.devices[0].compute_bytes > 0


def test_all_of_them_hold_something(headers: Mapping[str, Header]) -> None:
    plan = planned(headers, LARGE, ("CUDA0=12GiB@936GB/s", "CUDA1=12GiB@936GB/s"))
    assert opened(plan) is None
    assert "not-opened" not in {f.code for f in plan.findings}
