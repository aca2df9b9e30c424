"""The largest context: with a placement as it is, and with nothing but the embeddings in RAM."""

from collections.abc import Callable
from dataclasses import replace

from kvtui.cache.layout import CacheLayout, cache_layout
from kvtui.flags.context import CELL_STEP
from kvtui.hardware.device import CPU
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import spare_bytes
from kvtui.placement.request import Request

_HALVES_EVERY = 3


def largest_context(request: Request, most: int) -> int | None:
    """The most tokens up to `most` for which a search finds a plan that fits, to 256; None where nothing fits."""
    from kvtui.placement.solve.greedy import search
    from kvtui.placement.solve.problem import build_problem

    def spare(cells: int) -> int:
        best = search(build_problem(replace(request, context=replace(request.context, n_ctx=cells))))
        if best.over_bytes:
            return -best.over_bytes
        return spare_bytes(request.machine, request.capacities, best.estimate, request.ram_capacity)

    return _last(spare, most)


def largest_in_place(request: Request, assignment: Assignment, most: int) -> int | None:
    """The most tokens up to `most` with everything where `assignment` has it."""
    from kvtui.placement.solve.problem import beside_model

    machine, model = request.machine, request.model

    def spare(cells: int) -> int:
        context = replace(request.context, n_ctx=cells)
        layout: CacheLayout = cache_layout(model, context)
        compute = ComputeModel(model, context, machine, request.build, fa_quants=request.fa_quants)
        memory = estimate(
            model,
            context,
            assignment,
            machine,
            compute=compute,
            layout=layout,
            learned=request.learned,
            beside=beside_model(replace(request, context=context)),
        )
        return spare_bytes(machine, request.capacities, memory, request.ram_capacity)

    return _last(spare, most)


def largest_on_devices(request: Request, most: int, known: int = 0) -> int | None:
    """The most tokens up to `most` with nothing but the embeddings in RAM. `known`: tokens that are known to fit so."""
    from kvtui.placement.solve.greedy import search
    from kvtui.placement.solve.problem import build_problem

    def spare(cells: int) -> int:
        trial = replace(request, no_ram=True, context=replace(request.context, n_ctx=cells))
        best = search(build_problem(trial))
        if best.over_bytes:
            return -best.over_bytes
        if CPU in best.homes or CPU in best.places:
            return -1
        return sum(max(c - u.used_bytes, 0) for c, u in zip(request.capacities, best.estimate.devices, strict=True))

    return _last(spare, most, known)


def _last(spare: Callable[[int], int], most: int, known: int = 0) -> int | None:
    """The largest multiple of 256 up to `most` (or `most` itself) that has `spare` bytes of 0 or more; None if 256 lacks
    some. Memory grows almost evenly with the context: each next guess is on the line through what is known, every third
    halves what is left, so that no shape takes longer than bisection by much. `known`: tokens that are known to fit."""
    if most <= 0:
        return None
    if known >= most:
        return most
    low, high = known // CELL_STEP, (most + CELL_STEP - 1) // CELL_STEP  # `low` fits (or is 0), `high` does not
    of_low: int | None = None
    if low:  # what is known may well be the answer
        of_high = spare(min((low + 1) * CELL_STEP, most))
        if of_high < 0:
            return low * CELL_STEP
        low, of_low = low + 1, of_high
        if low == high:
            return most
    of_high = spare(most)
    if of_high >= 0:
        return most
    turn = 0
    while high - low > 1:
        turn += 1
        if of_low is None:
            middle = low + 1
        elif turn % _HALVES_EVERY == 0:
            middle = (low + high) // 2
        else:
            middle = low + (high - low) * of_low // max(of_low - of_high, 1)
            middle = min(max(middle + (turn % 2), low + 1), high - 1)
        found = spare(middle * CELL_STEP)
        if found >= 0:
            low, of_low = middle, found
        elif low == 0 and of_low is None:
            return None
        else:
            high, of_high = middle, found
    return low * CELL_STEP or None
