"""A preferred device holds everything where it has room for it, and is opened first where it has not."""

from collections.abc import Mapping

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Pin, Request

SMALL, LARGE = "llama-3.1-8b-q4_k_m", "qwen3-30b-a3b-q4_k_m"


def planned(headers: Mapping[str, Header], name: str, preferred: str, *pins: Pin) -> Plan:
    machine = Machine(parse_devices(("CUDA0=12GiB@360GB/s", "CUDA1=16GiB@936GB/s")), parse_ram("64GiB@60GB/s"))
    context = ContextParams(n_parallel=1, n_ctx=16384)
    return quick_plan(Request(model_from_header(headers[name], name), context, machine, pins=pins, preferred=preferred))


def opened(plan: Plan) -> str | None:
    return plan.argv[plan.argv.index("-dev") + 1] if "-dev" in plan.argv else None


@pytest.mark.parametrize("name", ["CUDA0", "CUDA1"])
def test_what_fits_there_is_all_there(headers: Mapping[str, Header], name: str) -> None:
    plan = planned(headers, SMALL, name)
    assert plan.fits
    assert opened(plan) == name
    assert {plan.request.machine.devices[i].name for i in plan.homes} == {name}


@pytest.mark.parametrize(("name", "order"), [("CUDA0", None), ("CUDA1", "CUDA1,CUDA0")])
def test_it_is_opened_first_where_it_has_no_room_for_everything(
    headers: Mapping[str, Header], name: str, order: str | None
) -> None:
    plan = planned(headers, LARGE, name)
    assert plan.fits
    assert opened(plan) == order
    assert "preferred" in {f.code for f in plan.findings}


def test_a_pin_to_another_device_is_kept(headers: Mapping[str, Header]) -> None:
    plan = planned(headers, SMALL, "CUDA1", Pin(r"blk\.31\.", "CUDA0"))
    assert plan.fits
    assert plan.estimate.devices[0].weights_bytes > 0
