"""One row for each K/V pair: what it takes, what it saves, how far it reaches, how it runs, what it costs in quality."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kvtui.base.findings import Finding
from kvtui.cache.kernels import Runs
from kvtui.cache.layout import CacheLayout, cache_layout
from kvtui.cache.quality import Quality, quality
from kvtui.cache.support import Support, support
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU
from kvtui.memory.beside.loaded import BesideModel
from kvtui.memory.compute import ComputeModel, Courses
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import lacking
from kvtui.memory.refusals import equal_types_needed, refusals
from kvtui.placement.decode import Still, still_of, work_of
from kvtui.placement.flash import with_known_flash
from kvtui.placement.plan import Plan
from kvtui.placement.prompt import Prompt, prompt_of
from kvtui.placement.reach import InPlace, OnDevices
from kvtui.placement.solve.problem import beside_model, seconds_per_byte
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
    """Bytes and tokens; None where nothing fits or nothing is known yet. Speeds follow `runs`: at full context, and empty."""

    type_k: str
    type_v: str
    cache_bytes: int
    device_bytes: int
    saved_fraction: float
    max_context: int | None
    max_context_gpu: int | None
    seconds_per_token: float  # at full context; where a bandwidth is not known, by the usual one: for comparison
    tokens_per_second: float | None
    tokens_per_second_empty: float | None
    fits: bool  # with the placement as shown
    accepted: bool
    runs: Runs
    runs_because: str  # which device decides, and why
    runs_devices: tuple[tuple[str, Runs], ...]
    quality: Quality
    findings: tuple[Finding, ...]
    dominated_by: tuple[str, str] | None = None  # a pair better or equal in all, and better in one
    recommended_for: tuple[str, ...] = ()  # goals

    @property
    def pair(self) -> tuple[str, str]:
        """(type of K, type of V)."""
        return self.type_k, self.type_v


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
    yield from rows_of(plan, pairs(plan, all_pairs=all_pairs), contexts=contexts)


def rows_of(plan: Plan, wanted: Iterable[tuple[str, str]], *, contexts: bool = True) -> Iterator[PairRow]:
    """Rows of these pairs, one by one."""
    shared = _Shared.of(plan)
    for type_k, type_v in wanted:
        yield _row(plan, shared, type_k, type_v, contexts=contexts)


@dataclass(frozen=True)
class _Shared:
    """What all pairs of a plan have in common."""

    reference: CacheLayout
    still: Still
    prompt: Prompt
    seconds_per_byte: tuple[float, ...]
    attends: frozenset[int]  # devices that hold blocks with a cache
    beside: BesideModel  # its caches have types of their own
    in_place: InPlace
    on_devices: OnDevices

    @staticmethod
    def of(plan: Plan) -> "_Shared":
        request = plan.request
        reference = cache_layout(request.model, replace(request.context, type_k="f16", type_v="f16"))
        speeds = seconds_per_byte(request.machine)
        homes = plan.homes if request.context.offload_kqv else (CPU,) * len(plan.homes)
        attends = frozenset(h for h, x in zip(homes, reference.layers, strict=False) if x.cache_bytes)
        prompt = prompt_of(request.model, request.context, plan.assignment, request.machine)
        still = still_of(request.model, plan.assignment, len(speeds))
        return _Shared(reference, still, prompt, speeds, attends, beside_model(request), InPlace(plan.assignment), OnDevices())


def _row(plan: Plan, shared: _Shared, type_k: str, type_v: str, *, contexts: bool) -> PairRow:
    request, model, machine = plan.request, plan.request.model, plan.request.machine
    trial = with_known_flash(replace(request, context=replace(request.context, type_k=type_k, type_v=type_v)))
    context = trial.context
    found = refusals(model, context, request.build)
    accepted = not any(f.severity == "error" for f in found)
    layout = cache_layout(model, context)
    compute = ComputeModel(model, context, machine, request.build, fa_quants=request.fa_quants, engine=Courses)
    memory = estimate(
        model,
        context,
        plan.assignment,
        machine,
        compute=compute,
        layout=layout,
        learned=request.learned,
        beside=shared.beside,
    )
    decides, by_place = _runs(plan, shared, replace(context, flash_attn="auto") if trial.flash_open else context)
    work = work_of(model, context, shared.still, by_place, shared.seconds_per_byte)
    speed = speed_of(work, machine, shared.prompt)
    most = model.n_ctx_train * context.slots
    in_place = shared.in_place.largest(trial, most, by_place) if contexts and accepted else None
    whole = CPU not in plan.homes and CPU not in plan.places and request.context.offload_kqv
    known = in_place or 0 if whole else 0
    on_devices = shared.on_devices.largest(trial, most, by_place, known) if contexts and accepted else None
    return PairRow(
        type_k=type_k,
        type_v=type_v,
        cache_bytes=layout.cache_bytes,
        device_bytes=sum(d.used_bytes for d in memory.devices),
        saved_fraction=1 - layout.cache_bytes / shared.reference.cache_bytes if shared.reference.cache_bytes else 0.0,
        max_context=in_place,
        max_context_gpu=on_devices,
        seconds_per_token=work.yardstick_seconds,
        tokens_per_second=None if speed is None else speed.tokens_per_second,
        tokens_per_second_empty=None if speed is None else speed.tokens_per_second_empty,
        fits=accepted and not lacking(machine, request.capacities, memory, request.ram_capacity),
        accepted=accepted,
        runs=decides.runs,
        runs_because=decides.because,
        runs_devices=tuple((name, r.runs) for name, r in decides.devices),
        quality=quality(type_k, type_v, model, request.measured),
        findings=found,
    )


def _runs(plan: Plan, shared: _Shared, context: ContextParams) -> tuple[Support, tuple[Runs, ...]]:
    """(what decides among the devices that attend, how each device runs it: RAM last)."""
    request, devices = plan.request, plan.request.machine.devices
    here = [d for i, d in enumerate(devices) if i in shared.attends]
    decides = support(request.model, context, here, build=request.build, fa_quants=request.fa_quants)
    host = support(request.model, context, (), build=request.build)
    by_name = {name: r.runs for name, r in decides.devices}
    return decides, (*[by_name.get(d.name, "fast") for d in devices], host.runs)
