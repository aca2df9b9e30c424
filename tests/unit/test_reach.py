"""The table's largest contexts: each search starts from what those before it saw, and finds what a search alone would."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.context import CELL_STEP, ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import spare_bytes
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.reach import OnDevices
from kvtui.placement.request import Request
from kvtui.placement.solve.greedy import search
from kvtui.placement.solve.problem import build_problem
from kvtui.placement.table import rows_of

PAIRS = (("q4_0", "q4_0"), ("f16", "f16"), ("q8_0", "q8_0"), ("q8_0", "q5_1"), ("f32", "f32"))
CASES = {
    "one device": ("llama-3.1-8b-q4_k_m", "8GiB@360GB/s"),
    "two devices": ("llama-3.1-8b-q4_k_m", "6GiB@360GB/s", "6GiB@936GB/s"),
    "experts in RAM": ("qwen3-30b-a3b-q4_k_m", "6GiB@360GB/s"),
    "windows": ("gemma-3-27b-q4_k_m", "24GiB@936GB/s"),
}


@pytest.fixture(params=CASES, scope="module")
def plan(request: pytest.FixtureRequest, headers: Mapping[str, Header]) -> Plan:
    name, *cards = CASES[request.param]
    machine = Machine(parse_devices([f"CUDA{i}={card}" for i, card in enumerate(cards)]), parse_ram("200GiB@60GB/s"))
    return quick_plan(Request(model_from_header(headers[name], name), ContextParams(n_ctx=4096), machine))


def test_the_answers_do_not_depend_on_what_was_asked_before(plan: Plan) -> None:
    rows = {r.pair: (r.max_context, r.max_context_gpu) for r in rows_of(plan, PAIRS)}
    backwards = {r.pair: (r.max_context, r.max_context_gpu) for r in rows_of(plan, PAIRS[::-1])}
    alone = {p: (r.max_context, r.max_context_gpu) for p in PAIRS for r in rows_of(plan, (p,))}
    assert rows == backwards == alone
    assert len(set(rows.values())) > 1


def test_an_answer_fits_and_a_step_more_does_not(plan: Plan) -> None:
    request, model = plan.request, plan.request.model
    checked = 0
    for row in rows_of(plan, PAIRS):
        most = model.n_ctx_train * request.context.slots
        for answer, on_devices in ((row.max_context, False), (row.max_context_gpu, True)):
            for n_ctx, fits in ((answer or 0, True), ((answer or 0) + CELL_STEP, False)):
                if not 0 < n_ctx <= most:
                    continue
                context = replace(request.context, n_ctx=n_ctx, type_k=row.type_k, type_v=row.type_v)
                if on_devices:
                    found = not search(build_problem(replace(request, context=context, no_ram=True))).over_bytes
                else:
                    memory = estimate(model, context, plan.assignment, request.machine, request.build)
                    found = spare_bytes(request.machine, request.capacities, memory, request.ram_capacity) >= 0
                assert found == fits, (row.pair, n_ctx, on_devices)
                checked += 1
    assert checked > len(PAIRS)


def test_weights_that_devices_cannot_hold_are_not_searched_for(plan: Plan) -> None:
    request = replace(plan.request, margins=tuple(d.free_bytes - (1 << 30) for d in plan.request.machine.devices))
    assert OnDevices().largest(request, 4096, ()) is None
    assert search(build_problem(replace(request, no_ram=True, context=replace(request.context, n_ctx=CELL_STEP)))).over_bytes
