"""The largest context: with a placement as it is, and with nothing but the embeddings in RAM."""

from collections.abc import Callable
from dataclasses import replace

from kvtui.cache.layout import CacheLayout, cache_layout
from kvtui.hardware.device import CPU
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import lacking
from kvtui.placement.request import Request

STEP = 256  # cells: llama.cpp pads the context to it


def largest_context(request: Request, most: int) -> int | None:
    """The most tokens up to `most` for which a search finds a plan that fits, to 256; None where nothing fits."""
    from kvtui.placement.solve.greedy import search
    from kvtui.placement.solve.problem import build_problem

    def fits(cells: int) -> bool:
        trial = replace(request, context=replace(request.context, n_ctx=cells))
        return search(build_problem(trial)).over_bytes == 0

    return _last(fits, most)


def largest_in_place(request: Request, assignment: Assignment, most: int) -> int | None:
    """The most tokens up to `most` with everything where `assignment` has it."""
    from kvtui.placement.solve.problem import beside_model

    machine, model = request.machine, request.model

    def fits(cells: int) -> bool:
        context = replace(request.context, n_ctx=cells)
        layout: CacheLayout = cache_layout(model, context)
        compute = ComputeModel(model, context, machine, str(request.build))
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
        return not lacking(machine, request.capacities, memory, request.ram_capacity)

    return _last(fits, most)


def largest_on_devices(request: Request, most: int) -> int | None:
    """The most tokens up to `most` with nothing but the embeddings in RAM."""
    from kvtui.placement.solve.greedy import search
    from kvtui.placement.solve.problem import build_problem

    def fits(cells: int) -> bool:
        trial = replace(request, no_ram=True, context=replace(request.context, n_ctx=cells))
        best = search(build_problem(trial))
        return best.over_bytes == 0 and CPU not in best.homes and CPU not in best.places

    return _last(fits, most)


def _last(fits: Callable[[int], bool], most: int) -> int | None:
    """The largest multiple of 256 up to `most` (or `most` itself) that `fits`, by bisection; None if 256 does not."""
    if most <= 0:
        return None
    if fits(most):
        return most
    low, high = 0, (most + STEP - 1) // STEP  # `low` fits (or is 0), `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle * STEP):
            low = middle
        else:
            high = middle
    return low * STEP or None
