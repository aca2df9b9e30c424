"""Plans of one request that differ in kind, so that a measurement of each tells something: other homes of the weights,
another physical batch, another pair of K/V types."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from kvtui.cache.labels import RANKS
from kvtui.cache.layout import cache_layout
from kvtui.cache.quality import quality
from kvtui.cache.support import runs_at
from kvtui.hardware.device import CPU, Device
from kvtui.memory.assignment import opened_of
from kvtui.placement.plan import Plan, make_plan, plan_of
from kvtui.placement.request import Request
from kvtui.placement.solve.problem import build_problem
from kvtui.placement.solve.search import search
from kvtui.placement.turn import Turn, expected_seconds

Kind = Literal["plan", "ubatch", "home", "pair"]
UBATCHES = (512, 1024, 2048, 4096)  # tokens
LOSSLESS_TYPES = ("f16", "q8_0")  # the pairs made of them lose nothing that was measured, on most models


@dataclass(frozen=True)
class Variant:
    """`kind`: in what it differs from the plan; `name`: the same in words. Those of one `placement` keep the weights where they
    are, as far as their buffers leave the room."""

    kind: Kind
    name: str
    plan: Plan

    @property
    def placement(self) -> str:
        """One word for all that have the plan's own."""
        return self.name if self.kind == "home" else ""


def variants(plan: Plan, turn: Turn, given: Collection[str] = (), most: int = 5) -> tuple[Variant, ...]:
    """At most `most` plans, `plan` among them, in the order of `in_order`. `given`: fields of the context that a person
    decided, which stay (n_ubatch, n_batch, type_k, type_v)."""
    first = Variant("plan", "as planned", plan)
    batches = list(_fitting(_ubatches(plan, given, turn.prompt)))
    start = min((first, *batches), key=lambda v: expected_seconds(v.plan, turn))
    others = [*batches, *_fitting(_homes(start)), *_fitting(_pairs(start, given))]
    return in_order(_chosen(first, others, turn, most), turn)


def in_order(found: Sequence[Variant], turn: Turn) -> tuple[Variant, ...]:
    """The quickest turn first, so that the bound rules out most; those of one placement after each other: what the one read of
    the file is still in memory for the next."""
    seconds = {id(v): expected_seconds(v.plan, turn) for v in found}
    best: dict[str, float] = {}
    for v in found:
        best[v.placement] = min(best.get(v.placement, seconds[id(v)]), seconds[id(v)])
    return tuple(sorted(found, key=lambda v: (best[v.placement], v.placement, seconds[id(v)])))


def _fitting(found: Iterable[Variant]) -> Iterator[Variant]:
    return (v for v in found if v.plan.fits)


def _chosen(first: Variant, others: Sequence[Variant], turn: Turn, most: int) -> list[Variant]:
    """The plan, the best of each kind, then the best of the rest; no command line twice."""
    chosen, argvs = [first], {first.plan.argv}
    waiting = sorted(others, key=lambda v: expected_seconds(v.plan, turn))
    best_of_kind: dict[Kind, Variant] = {}
    for v in waiting:
        if v.plan.argv not in argvs:
            best_of_kind.setdefault(v.kind, v)
    for v in (*best_of_kind.values(), *waiting):
        if len(chosen) < most and v.plan.argv not in argvs:
            chosen.append(v)
            argvs.add(v.plan.argv)
    return chosen


def _ubatches(plan: Plan, given: Collection[str], prompt: int) -> Iterator[Variant]:
    """Where weights in RAM cross a link once a physical batch: larger ones, up to the first that holds the whole prompt."""
    request = plan.request
    context = request.context
    if "n_ubatch" in given or CPU not in (*plan.homes, *plan.places):
        return
    for smaller, n_ubatch in pairwise(UBATCHES):
        n_batch = context.n_batch if "n_batch" in given else max(context.n_batch, n_ubatch)
        if context.n_ubatch < n_ubatch <= n_batch and max(smaller, context.n_ubatch) < prompt:
            made = make_plan(replace(request, context=replace(context, n_ubatch=n_ubatch, n_batch=n_batch)))
            if made.request.context.n_ubatch == n_ubatch:  # else it was made smaller, to fit
                yield Variant("ubatch", f"-ub {n_ubatch}", made)


def _homes(start: Variant) -> Iterator[Variant]:
    """The same memory, elsewhere."""
    plan = start.plan
    request, devices = plan.request, plan.request.machine.devices
    suffix = f", {start.name}" if start.kind == "ubatch" else ""
    opened = opened_of(plan.assignment.opened, len(devices))
    if request.preferred is None:
        for device in _unlike(devices, [d for i, d in enumerate(devices) if request.capacities[i]], opened):
            made = make_plan(replace(request, preferred=device.name))
            alone = len(made.request.order) == 1
            yield Variant("home", f"{f'all on {device.name}' if alone else f'{device.name} opened first'}{suffix}", made)
    if CPU in (*plan.homes, *plan.places) and not request.no_ram:
        yield Variant("home", f"{_blocks_said(plan)}{suffix}", _other_blocks(plan))
    if opened and request.preferred is None and not request.no_ram and all(p.device == "CPU" for p in request.pins):
        made = make_plan(replace(request, excluded=tuple(d.name for d in devices)))
        if _no_slower(made, plan):
            yield Variant("home", f"all in RAM{suffix}", made)


def _no_slower(other: Plan, plan: Plan) -> bool:
    """Whether decode can be as fast; where a bandwidth is not known, as of a device behind a network, it can."""
    if plan.speed is None or other.speed is None:
        return True
    return other.speed.tokens_per_second >= plan.speed.tokens_per_second


def _unlike(devices: Sequence[Device], usable: Sequence[Device], opened: Sequence[int]) -> list[Device]:
    """Devices that would make another plan if they came first: one of each sort, none like the one that does."""

    def sort(d: Device) -> tuple[object, ...]:
        return d.description, d.endpoint, d.total_bytes, d.bandwidth, d.link

    seen = {sort(devices[opened[0]])} if opened else set()
    found = []
    for device in usable:
        if sort(device) not in seen:
            seen.add(sort(device))
            found.append(device)
    return found


def _blocks_said(plan: Plan) -> str:
    return "whole blocks in RAM" if plan.request.blocks_on_devices else "every block on a device, tensors in RAM"


def _other_blocks(plan: Plan) -> Plan:
    """Tensors in RAM instead of blocks with their K/V, or the other way around."""
    problem = build_problem(replace(plan.request, blocks_on_devices=not plan.request.blocks_on_devices))
    return plan_of(problem, search(problem), proven=False)


def _pairs(start: Variant, given: Collection[str]) -> Iterator[Variant]:
    """Pairs that lose nothing and run with their own kernels wherever the caches are."""
    request = start.plan.request
    context = request.context
    if not cache_layout(request.model, context).cache_bytes:
        return
    suffix = f", {start.name}" if start.kind == "ubatch" else ""
    for type_k in (context.type_k,) if "type_k" in given else LOSSLESS_TYPES:
        for type_v in (context.type_v,) if "type_v" in given else LOSSLESS_TYPES:
            other = replace(request, context=replace(context, type_k=type_k, type_v=type_v))
            if (type_k, type_v) != (context.type_k, context.type_v) and _as_good(other, start.plan):
                yield Variant("pair", f"{type_k}/{type_v}{suffix}", make_plan(other))


def _as_good(request: Request, plan: Plan) -> bool:
    context = request.context
    label = quality(context.type_k, context.type_v, request.model, request.measured).label
    if RANKS[label] > RANKS["as f16"]:
        return False
    runs = runs_at(request.model, context, request.machine.devices, build=request.build, fa_quants=request.fa_quants)
    homes = plan.homes if context.offload_kqv else (CPU,)
    return all(runs[home] == "fast" for home in set(homes))
