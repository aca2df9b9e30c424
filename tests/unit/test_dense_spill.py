"""A dense model that spills: FFN tensors go to RAM, blocks and their K/V stay on the devices as long as decode is as good."""

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
from kvtui.placement.plan import Plan, make_plan, quick_plan
from kvtui.placement.request import Request
from kvtui.placement.solve.problem import build_problem
from kvtui.placement.solve.search import search

TWO = ("CUDA0=4GiB@936GB/s", "CUDA1=3GiB@360GB/s")


def request(headers: Mapping[str, Header], devices: tuple[str, ...], n_ctx: int) -> Request:
    name = "llama-3.1-8b-q4_k_m"
    machine = Machine(parse_devices(devices), parse_ram("64GiB@60GB/s"))
    return Request(model_from_header(headers[name], name), ContextParams(n_ctx=n_ctx, n_parallel=1), machine)


def in_ram(plan: Plan) -> set[str]:
    tensors = zip(plan.request.model.tensors, plan.assignment.tensor_devices, strict=True)
    return {t.name.split(".")[2] for t, place in tensors if place == CPU and t.block is not None}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("devices", [TWO[:1], TWO])
def test_ffn_tensors_spill_and_the_cache_stays(headers: Mapping[str, Header], devices: tuple[str, ...], exact: bool) -> None:
    asked = request(headers, devices, 8192)
    plan = make_plan(asked) if exact else quick_plan(asked)
    assert plan.fits
    assert CPU not in plan.assignment.layer_devices
    assert plan.estimate.host.cache_bytes == 0
    assert in_ram(plan) <= {"ffn_down", "ffn_gate", "ffn_up"}
    assert in_ram(plan)
    assert assign(asked.model, parse_flags(plan.argv), asked.machine) == plan.assignment
    for use, room in zip(plan.estimate.devices, asked.capacities, strict=True):
        assert use.used_bytes <= room


def test_it_costs_next_to_nothing_and_claims_no_more_than_is_proven(headers: Mapping[str, Header]) -> None:
    asked = request(headers, TWO, 8192)
    anything = search(build_problem(asked))
    plan = make_plan(asked)
    assert plan.found.best.score.seconds <= anything.best.score.seconds * 1.03
    assert plan.found.bound <= anything.bound
    if anything.best.score.seconds < plan.found.best.score.seconds * (1 - 1e-3):
        assert not plan.optimality.proven


def test_a_cache_that_has_no_room_on_the_devices_takes_its_blocks_to_ram(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, TWO[:1], 65536))
    assert plan.fits
    assert CPU in plan.assignment.layer_devices
    assert plan.estimate.host.cache_bytes > 0


def test_a_plan_asked_again_from_its_own_request_is_the_same(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, TWO, 8192))
    assert plan.request.blocks_on_devices
    again = quick_plan(replace(plan.request, context=replace(plan.request.context, n_ctx=65536)))
    assert again.argv == quick_plan(request(headers, TWO, 65536)).argv
