"""What holds of any model on any machine under any flags."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from header_archive import HeaderArchive
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from kvtui.base.findings import DOES_NOT_FIT
from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.memory.assign import assign
from kvtui.memory.refusals import refusals
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec
from kvtui.placement.plan import Plan, make_plan, quick_plan
from kvtui.placement.request import Request

# one of each way to keep a context: GQA, windows, MLA, indexers, recurrent state, hybrids; dense and experts
MODELS = (
    "falcon-dense", "qwen-dense", "gemma-dense", "cohere2-dense", "deepseek2-moe", "mistral4-moe", "minicpm3-dense", "dbrx-moe",
    "mamba-dense", "mamba2-dense", "jamba-dense", "nemotron_h-dense", "lfm2moe-moe", "minimax-01-moe", "phi3-dense", "mpt-dense",
)  # fmt: skip
BANDWIDTHS = (100, 360, 936, 3350)  # GB/s
UNIFORM = [(name, name) for name in CACHE_TYPES]


@pytest.fixture(scope="module")
def models(headers: HeaderArchive) -> dict[str, ModelSpec]:
    return {name: model_from_header(headers[name], name) for name in MODELS}


names = st.sampled_from(MODELS)
# MiB beyond what a back end and a margin take, so that there are plans that fit in part
devices = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(BANDWIDTHS)), max_size=3)
contexts = st.builds(
    ContextParams,
    n_ctx=st.sampled_from((512, 4096, 32768)),
    n_parallel=st.sampled_from((1, 2, 4)),
    type_k=st.sampled_from(tuple(CACHE_TYPES)),
    type_v=st.sampled_from(tuple(CACHE_TYPES)),
    n_ubatch=st.sampled_from((64, 512)),
    swa_full=st.booleans(),
    kv_unified=st.booleans(),
)
margins = st.sampled_from((0, 100, 1024))
ordinary = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
few = settings(ordinary, max_examples=12)


def machine(sizes: Sequence[tuple[int, int]], ram: str = "4GiB") -> Machine:
    described = [f"CUDA{i}={1024 + mib * 20}MiB@{speed}GB/s" for i, (mib, speed) in enumerate(sizes)]
    return Machine(parse_devices(described), parse_ram(f"{ram}@60GB/s"))


def asked(model: ModelSpec, context: ContextParams, on: Machine, margin_mib: int = 0) -> Request:
    return Request(model, context, on, tuple(margin_mib << 20 for _ in on.devices))


def accepted(model: ModelSpec, context: ContextParams) -> bool:
    return not any(f.severity == "error" for f in refusals(model, context))


@ordinary
@example(  # its bound, of devices too small for a block, was below nothing
    name="falcon-dense",
    sizes=[(1, 100), (19, 100)],
    context=ContextParams(n_ctx=32768, n_parallel=2, type_k="q8_0", type_v="q5_1", kv_unified=False),
    margin=1024,
)
@given(name=names, sizes=devices, context=contexts, margin=margins)
def test_parts_sum_to_totals(
    models: dict[str, ModelSpec], name: str, sizes: list[tuple[int, int]], context: ContextParams, margin: int
) -> None:
    model = models[name]
    assume(accepted(model, context))
    plan = quick_plan(asked(model, context, machine(sizes), margin))
    placed = plan.assignment.tensor_devices
    for i, use in enumerate(plan.estimate.devices):
        there = sum(t.n_bytes for t, home in zip(model.tensors, placed, strict=True) if t.loaded and home == i)
        assert use.weights_bytes >= there  # padding, and a tied output's copy
        assert use.weights_bytes - there <= max(t.n_bytes for t in model.tensors) + 512 * len(model.tensors)
        parts = (use.weights_bytes, use.cache_bytes, use.recurrent_bytes, use.compute_bytes, use.beside_bytes)
        assert sum(parts) + use.expert_cache_bytes + use.overhead_bytes == use.used_bytes
    memory = plan.estimate
    all_in_ram = quick_plan(asked(model, context, machine(()))).estimate.host
    uses = (*memory.devices, memory.host)
    assert sum(u.cache_bytes for u in uses) == all_in_ram.cache_bytes
    assert sum(u.recurrent_bytes for u in uses) == all_in_ram.recurrent_bytes


@ordinary
@given(name=names, sizes=devices, context=contexts, margin=margins)
def test_no_plan_is_over(
    models: dict[str, ModelSpec], name: str, sizes: list[tuple[int, int]], context: ContextParams, margin: int
) -> None:
    model = models[name]
    plan = quick_plan(asked(model, context, machine(sizes, "1GiB"), margin))
    over = _over(plan)
    assert not (plan.fits and over)
    assert over == any(f.code == DOES_NOT_FIT for f in plan.findings)


def _over(plan: Plan) -> bool:
    limits = zip(plan.estimate.devices, plan.request.capacities, strict=True)
    opened = plan.assignment.opens
    over = any(use.used_bytes > limit for i, (use, limit) in enumerate(limits) if opened(i) and use.used_bytes)
    return over or plan.estimate.host.used_bytes > plan.request.machine.ram.free_bytes


@ordinary
@given(name=names, context=contexts, one=st.sampled_from(UNIFORM), other=st.sampled_from(UNIFORM))
def test_fewer_bits_are_never_more_cache(
    models: dict[str, ModelSpec], name: str, context: ContextParams, one: tuple[str, str], other: tuple[str, str]
) -> None:
    model = models[name]
    bits = {name: t.bits for name, t in CACHE_TYPES.items()}
    fewer, more = sorted((one, other), key=lambda pair: bits[pair[0]])
    lean, wide = (replace(context, type_k=k, type_v=v) for k, v in (fewer, more))
    assume(accepted(model, lean) and accepted(model, wide))
    taken = [quick_plan(asked(model, c, machine(()))).estimate.host.cache_bytes for c in (lean, wide)]
    assert taken[0] <= taken[1]
    rows = [cache_layout(model, c).cache_bytes for c in (lean, wide)]
    assert rows[0] <= rows[1]


@few
@given(name=names, size=st.integers(0, 40), more=st.integers(1, 40), context=contexts)
def test_a_larger_device_is_never_slower_where_both_are_proven(
    models: dict[str, ModelSpec], name: str, size: int, more: int, context: ContextParams
) -> None:
    model = models[name]
    assume(accepted(model, context))
    small, large = (make_plan(asked(model, context, machine([(mib, 936)]))) for mib in (size, size + more))
    assume(small.optimality.proven and large.optimality.proven and small.fits)
    assert large.fits
    assert small.speed is not None
    assert large.speed is not None
    # a proof is within the solver's own gap
    assert large.speed.decode_seconds_per_token <= small.speed.decode_seconds_per_token * (1 + 2e-4)


@ordinary
@given(name=names, sizes=devices, context=contexts, margin=margins)
def test_flags_say_what_the_plan_is_and_the_same_is_planned_again(
    models: dict[str, ModelSpec], name: str, sizes: list[tuple[int, int]], context: ContextParams, margin: int
) -> None:
    model, on = models[name], machine(sizes)
    assume(accepted(model, context))
    plan = quick_plan(asked(model, context, on, margin))
    flags = parse_flags(plan.argv)
    assert assign(model, flags, on) == plan.assignment
    read, meant = flags.context, plan.request.context
    for field in ("n_ctx", "slots", "type_k", "type_v", "n_batch", "n_ubatch", "swa_full"):
        assert getattr(read, field) == getattr(meant, field)
    again = quick_plan(asked(model, context, machine(sizes), margin))
    assert (again.argv, again.estimate, again.findings) == (plan.argv, plan.estimate, plan.findings)
