"""Pinned blocks live where their pin says, with their K/V, as far as llama-server can be told so."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, improve, make_plan, quick_plan
from kvtui.placement.request import Pin, Request

MIB = 2**20
LAYER_CACHE = 2 * 8 * 128 * 2 * 100096  # K and V of 8 heads of 128 f16 values, 100,000 tokens padded


def request(headers: Mapping[str, Header], devices: tuple[str, ...], *pins: tuple[str, str], n_ctx: int = 100_000) -> Request:
    name = "llama-3.1-8b-q4_k_m"
    machine = Machine(parse_devices(devices), parse_ram("64GiB@60GB/s"))
    context = ContextParams(n_ctx=n_ctx, n_parallel=1)
    return Request(model_from_header(headers[name], name), context, machine, pins=tuple(Pin(*p) for p in pins))


def within(plan: Plan) -> bool:
    rooms = zip(plan.estimate.devices, plan.request.capacities, strict=True)
    return plan.fits and all(use.used_bytes <= room for use, room in rooms)


def as_told(plan: Plan) -> bool:
    """Whether the flags mean the plan."""
    return assign(plan.request.model, parse_flags(plan.argv), plan.request.machine) == plan.assignment


@pytest.mark.parametrize("exact", [False, True])
def test_a_pinned_block_moves_with_its_cache(headers: Mapping[str, Header], exact: bool) -> None:
    devices = ("CUDA0=12GiB@400GB/s", "CUDA1=24GiB@900GB/s")
    free = quick_plan(request(headers, devices))
    assert set(free.assignment.layer_devices) == {1}
    asked = request(headers, devices, (r"blk\.[0-3]\.", "CUDA0"))
    plan = make_plan(asked) if exact else quick_plan(asked)
    assert plan.assignment.layer_devices[:4] == (0, 0, 0, 0)
    assert plan.estimate.devices[0].cache_bytes >= 4 * LAYER_CACHE
    assert within(plan)
    assert as_told(plan)
    assert not [f for f in plan.findings if f.code == "pin-without-cache"]


def test_first_blocks_pinned_to_ram_take_their_cache_there(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, ("CUDA0=12GiB@900GB/s", "CUDA1=12GiB@400GB/s"), (r"blk\.[0-3]\.", "CPU")))
    assert plan.assignment.layer_devices[:5] == (CPU, CPU, CPU, CPU, 0)
    assert plan.estimate.host.cache_bytes == 4 * LAYER_CACHE
    assert within(plan)
    assert as_told(plan)


@pytest.mark.parametrize(
    ("pin", "stays"),
    [
        ((r"blk\.[0-3]\.", "CUDA1"), "blocks 0-3, their K/V (1,564 MiB) stays on CUDA0"),  # all others would have to follow
        ((r"blk\.31\.", "CUDA0"), "block 31, their K/V (391 MiB) stays on CUDA1"),
    ],
)
def test_what_the_order_of_blocks_forbids_is_named(headers: Mapping[str, Header], pin: tuple[str, str], stays: str) -> None:
    plan = quick_plan(request(headers, ("CUDA0=12GiB@900GB/s", "CUDA1=12GiB@400GB/s"), pin))
    (told,) = [f.message for f in plan.findings if f.code == "pin-without-cache"]
    assert stays in told
    assert within(plan)
    assert as_told(plan)


def test_an_improved_plan_keeps_what_was_decided_of_pins(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, ("CUDA0=12GiB@900GB/s", "CUDA1=12GiB@400GB/s"), (r"blk\.[0-3]\.", "CUDA1")))
    better = improve(plan, should_stop=lambda: True)
    assert better.findings == plan.findings
    assert within(better)


def test_a_pin_of_experts_or_of_the_ffn_leaves_the_block(headers: Mapping[str, Header]) -> None:
    devices = ("CUDA0=12GiB@900GB/s", "CUDA1=12GiB@400GB/s")
    free = quick_plan(request(headers, devices, n_ctx=8192))
    plan = quick_plan(request(headers, devices, (r"blk\.[0-3]\.ffn_", "CPU"), n_ctx=8192))
    assert plan.assignment.layer_devices == free.assignment.layer_devices
    assert plan.estimate.host.weights_bytes > free.estimate.host.weights_bytes
    assert replace(plan.request, pins=(), model=free.request.model) == free.request


def test_a_pin_to_a_device_whose_margin_takes_all_is_refused(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, ("CUDA0=24GiB", "CUDA1=1GiB"), (r"blk\.3\.", "CUDA1"), n_ctx=4096))
    assert not plan.fits
    assert "CUDA1 may hold nothing: its margin takes all" in next(f.message for f in plan.findings if f.code == "bad-pin")
