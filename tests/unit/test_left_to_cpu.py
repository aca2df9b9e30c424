"""Mistral Small 4's last product of the experts, for which most GPUs have no kernel."""

from collections.abc import Mapping

import pytest

from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.described import describe_flags
from kvtui.memory.left_to_cpu import LEFT_TO_CPU
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Pin, Request


def planned(headers: Mapping[str, Header], name: str, device: str, *pins: Pin) -> Plan:
    machine = Machine(parse_devices((f"{device}=24GiB@900GB/s",)), parse_ram("64GiB@60GB/s"))
    context = ContextParams(n_ctx=4096, n_parallel=1)
    return quick_plan(Request(model_from_header(headers[name], name), context, machine, pins=pins))


def said(plan: Plan) -> list[str]:
    return [f.message for f in plan.findings if f.code == LEFT_TO_CPU]


@pytest.mark.parametrize("device", ["CUDA0", "Vulkan0"])
def test_a_plan_warns_where_its_weights_are_on_a_device(headers: Mapping[str, Header], device: str) -> None:
    plan = planned(headers, "mistral4-moe", device)
    (message,) = said(plan)
    assert message.startswith(f"no kernel of {device} computes the last product")
    assert plan.fits
    flags = parse_flags(plan.argv)
    described = describe_flags(plan.request.model, plan.request.machine, (0,), plan.request.build, flags)
    assert message in {f.message for f in described.findings}


def test_what_it_names_is_obeyed(headers: Mapping[str, Header]) -> None:
    assert said(planned(headers, "mistral4-moe", "CUDA0", Pin("ffn_down_exps", "CPU"))) == []


def test_elsewhere_nothing_is_said(headers: Mapping[str, Header]) -> None:
    assert said(planned(headers, "mistral4-moe", "MTL0")) == []
    assert said(planned(headers, "deepseek2-moe", "CUDA0")) == []
