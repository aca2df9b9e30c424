"""One row for each K/V pair: what it takes, what it saves, how far it reaches, how it runs, what it costs in quality."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kvtui.base.findings import Finding
from kvtui.cache.kernels import Runs
from kvtui.cache.layout import cache_layout
from kvtui.cache.quality import Quality, quality
from kvtui.cache.support import support
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.memory.refusals import equal_types_needed, refusals
from kvtui.placement.context_search import largest_in_place, largest_on_devices
from kvtui.placement.plan import Plan
from kvtui.placement.solve.candidate import evaluate
from kvtui.placement.solve.problem import build_problem
from kvtui.placement.speed import speed_of

# pairs worth a look, from the ladder of bits(K) >= bits(V)
LADDER = (
    ("f16", "f16"),
    ("q8_0", "q8_0"),
    ("q8_0", "q5_1"),
    ("q5_1", "q5_1"),
    ("q8_0", "q4_0"),
    ("q5_0", "q5_0"),
    ("q4_1", "q4_1"),
    ("q4_0", "q4_0"),
    ("iq4_nl", "iq4_nl"),
    ("q4_0", "q8_0"),  # the guide's mix: selectable, and says why it is the weaker order
)


@dataclass(frozen=True)
class PairRow:
    """Bytes and tokens; None where nothing fits or nothing is known yet."""

    type_k: str
    type_v: str
    cache_bytes: int
    device_bytes: int
    saved_fraction: float
    max_context: int | None
    max_context_gpu: int | None
    tokens_per_second: float | None  # at full context
    tokens_per_second_empty: float | None
    accepted: bool
    runs: Runs
    runs_because: str  # which device decides, and why
    runs_devices: tuple[tuple[str, Runs], ...]
    quality: Quality
    findings: tuple[Finding, ...]


def pairs(plan: Plan, *, all_pairs: bool) -> tuple[tuple[str, str], ...]:
    """The pairs to show; the selected one always, mixed ones not where the server refuses them."""
    if all_pairs:
        return tuple((k, v) for k in CACHE_TYPES for v in CACHE_TYPES)
    chosen = (plan.request.context.type_k, plan.request.context.type_v)
    equal = equal_types_needed(plan.request.model)
    found = [p for p in LADDER if not equal or p[0] == p[1]]
    return tuple(found if chosen in found else [*found, chosen])


def pair_rows(plan: Plan, *, all_pairs: bool = False, contexts: bool = True) -> list[PairRow]:
    """All rows at once."""
    return list(iter_rows(plan, all_pairs=all_pairs, contexts=contexts))


def iter_rows(plan: Plan, *, all_pairs: bool = False, contexts: bool = True) -> Iterator[PairRow]:
    """Rows one by one; without `contexts` the two largest contexts are left out, which is much quicker."""
    request, model = plan.request, plan.request.model
    reference = cache_layout(model, replace(request.context, type_k="f16", type_v="f16"))
    for type_k, type_v in pairs(plan, all_pairs=all_pairs):
        context = replace(request.context, type_k=type_k, type_v=type_v)
        trial = replace(request, context=context)
        found = refusals(model, context)
        accepted = not any(f.severity == "error" for f in found)
        problem = build_problem(trial, reference if (type_k, type_v) == ("f16", "f16") else None)
        candidate = evaluate(problem, plan.homes, plan.places)
        most = model.n_ctx_train * context.slots
        speed = speed_of(problem, candidate) if plan.speed is not None else None
        seconds = candidate.score.seconds if plan.speed is not None else 0.0
        cache = problem.layout.cache_bytes
        runs = support(model, context, request.machine.devices, build=request.build, fa_quants=request.fa_quants)
        yield PairRow(
            type_k=type_k,
            type_v=type_v,
            cache_bytes=cache,
            device_bytes=sum(d.used_bytes for d in candidate.estimate.devices),
            saved_fraction=1 - cache / reference.cache_bytes if reference.cache_bytes else 0.0,
            max_context=largest_in_place(trial, plan.assignment, most) if contexts and accepted else None,
            max_context_gpu=largest_on_devices(trial, most) if contexts and accepted else None,
            tokens_per_second=1 / seconds if seconds else None,
            tokens_per_second_empty=speed.high if speed is not None else None,
            accepted=accepted,
            runs=runs.runs,
            runs_because=runs.because,
            runs_devices=tuple((name, r.runs) for name, r in runs.devices),
            quality=quality(type_k, type_v, model),
            findings=found,
        )
