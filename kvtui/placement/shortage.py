"""Why a plan does not fit, in a person's terms: where, which part, and the shortest changes that were tried and mend it."""

from collections.abc import Iterator
from dataclasses import replace

from kvtui.base.findings import DOES_NOT_FIT, Finding
from kvtui.base.sizes import mib
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.memory.estimate import DeviceMemory, HostUse
from kvtui.memory.fits import RAM, lacking
from kvtui.memory.refusals import refusals
from kvtui.placement.context_search import largest_context
from kvtui.placement.pins import pinned_beyond
from kvtui.placement.request import Request
from kvtui.placement.solve import greedy
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import Problem, build_problem

_WORTH_NAMING = 0.05  # of the largest lack: smaller ones are not the cause
_SMALLER_TYPES = ("q8_0", "q4_0")  # for K and V alike: what most back ends run without a copy
_MOST_REMEDIES = 2


def does_not_fit(problem: Problem, candidate: Candidate) -> Finding:
    """What lacks how much, what takes it, and what would make it fit."""
    request = problem.request
    causes = [*pinned_beyond(problem), *_lacks(request, candidate)]
    if request.no_ram and candidate.ram_choice_bytes:
        causes.append(f"{mib(candidate.ram_choice_bytes)} have no room on the devices and may not go to RAM")
    found = []
    for change, trial in _changes(request):
        if _fits(trial):
            found.append(change)
        if len(found) == _MOST_REMEDIES:
            break
    most = largest_context(request, request.context.n_ctx)
    if most:
        found.append(f"-c {most}")
    mends = f"{', or '.join(found)} would make it fit" if found else _nothing_mends(candidate)
    return Finding(DOES_NOT_FIT, "error", f"does not fit: {'; '.join(causes) or 'nothing is free'}; {mends}")


def _nothing_mends(candidate: Candidate) -> str:
    return (
        f"no context, slots or cache type mends it: {mib(candidate.over_bytes)} more memory is needed, or weights of fewer bits"
    )


def _lacks(request: Request, candidate: Candidate) -> list[str]:
    """Where memory lacks, the most first, with the largest parts of what is wanted there."""
    machine, memory = request.machine, candidate.estimate
    holders: dict[str, DeviceMemory | HostUse] = {d.name: use for d, use in zip(machine.devices, memory.devices, strict=True)}
    margins = {d.name: margin for d, margin in zip(machine.devices, request.margin_bytes, strict=True)}
    holders[RAM], margins[RAM] = memory.host, request.ram_margin_bytes
    found = []
    for lack in lacking(machine, request.capacities, memory, request.ram_capacity):
        kept = f" (its margin is {mib(margins[lack.name])})" if margins.get(lack.name) else ""
        what = f": {_parts(holders[lack.name])}" if lack.name in holders else ""
        found.append((lack.n_bytes, f"{lack}{kept}{what}"))
    found.sort(reverse=True)
    return [text for over, text in found if over >= _WORTH_NAMING * found[0][0]]


def _parts(use: DeviceMemory | HostUse) -> str:
    """The two largest parts."""
    parts = {
        "weights": use.weights_bytes,
        "K/V": use.cache_bytes,
        "recurrent state": use.recurrent_bytes,
        "the expert cache": use.expert_cache_bytes,
        "compute buffers": use.compute_bytes,
        "what loads beside the model": use.beside_bytes,
    }
    largest = sorted((part for part in parts.items() if part[1]), key=lambda p: -p[1])[:2]
    return " and ".join(f"{name} {mib(size)}" for name, size in largest)


def _fits(request: Request) -> bool:
    return greedy.search(build_problem(request)).over_bytes == 0


def _changes(request: Request) -> Iterator[tuple[str, Request]]:
    """What could be changed, the smallest loss first: (in words, the request changed so)."""
    context = request.context
    for i, pin in enumerate(request.pins):
        rest = request.pins[:i] + request.pins[i + 1 :]
        yield f"dropping the pin {pin.pattern}={pin.device}", replace(request, pins=rest)
    for name in request.excluded:
        yield f"using {name}", replace(request, excluded=tuple(e for e in request.excluded if e != name))
    if request.no_ram:
        yield "RAM for some of the weights", replace(request, no_ram=False)
    flags = request.beside.flags
    if flags.mmproj is not None and flags.mmproj_name != "none":
        in_ram = replace(request.beside, flags=replace(flags, mmproj_offload=False, mmproj_device=None))
        yield "the projector in RAM (--no-mmproj-offload)", replace(request, beside=in_ram)
    if context.slots > 1:
        yield "one slot (-np 1)", replace(request, context=replace(context, n_parallel=1))
    if not context.offload_kqv:
        yield "K/V on the devices (no -nkvo)", replace(request, context=replace(context, offload_kqv=True))
    if context.swa_full:
        yield "no --swa-full", replace(request, context=replace(context, swa_full=False))
    widest = max(CACHE_TYPES[context.type_k].bits, CACHE_TYPES[context.type_v].bits)
    for name in _SMALLER_TYPES:
        smaller = replace(context, type_k=name, type_v=name)
        found = refusals(request.model, smaller, request.build)
        if CACHE_TYPES[name].bits < widest and not any(f.severity == "error" for f in found):
            yield f"a cache of {name} (-ctk {name} -ctv {name})", replace(request, context=smaller)
