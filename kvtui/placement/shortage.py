"""Why a plan does not fit, in a person's terms: where, which part, and the shortest changes that were tried and mend it."""

from collections.abc import Iterator
from dataclasses import replace

from kvtui.base.findings import DOES_NOT_FIT, Finding
from kvtui.base.sizes import mib
from kvtui.memory.changes import changes
from kvtui.memory.fits import RAM, lacking
from kvtui.memory.lacks import lack_sentences, nothing_mends
from kvtui.placement.context_search import largest_context
from kvtui.placement.pins import pinned_beyond
from kvtui.placement.request import Request
from kvtui.placement.solve import greedy
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import Problem, build_problem

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
    mends = f"{', or '.join(found)} would make it fit" if found else nothing_mends(candidate.over_bytes)
    return Finding(DOES_NOT_FIT, "error", f"does not fit: {'; '.join(causes) or 'nothing is free'}; {mends}")


def _lacks(request: Request, candidate: Candidate) -> list[str]:
    """Where memory lacks, the most first. What RAM lacks counts whole: a device that has weights too many only holds what RAM
    has no room for."""
    machine, memory = request.machine, candidate.estimate
    lacks = lacking(machine, request.capacities, memory, request.ram_capacity)
    in_ram = next((x for x in lacks if x.name == RAM), None)
    if in_ram is not None and not request.no_ram:
        weights = {d.name: use.weights_bytes for d, use in zip(machine.devices, memory.devices, strict=True)}
        spilled = [x for x in lacks if weights.get(x.name, 0) > x.n_bytes and x.n_bytes < in_ram.n_bytes]
        whole = replace(in_ram, n_bytes=in_ram.n_bytes + sum(x.n_bytes for x in spilled))
        lacks = (whole, *[x for x in lacks if x not in spilled and x is not in_ram])
    margins = {d.name: margin for d, margin in zip(machine.devices, request.margin_bytes, strict=True)}
    return lack_sentences(machine, margins | {RAM: request.ram_margin_bytes}, lacks, memory)


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
    for change in changes(request.model, context, request.beside.flags, request.build):
        beside = replace(request.beside, flags=change.beside)
        yield change.text, replace(request, context=change.context, beside=beside)
