"""The largest context: with whatever placement fits, and with nothing but the embeddings in RAM."""

from collections.abc import Callable
from dataclasses import replace

from kvtui.flags.context import CELL_STEP
from kvtui.memory.compute import Stretches
from kvtui.memory.fits import spare_bytes
from kvtui.placement.request import Request

_HALVES_EVERY = 3


def largest_context(request: Request, most: int) -> int | None:
    """The most tokens up to `most` for which a search finds a plan that fits, to 256; None where nothing fits."""
    from kvtui.placement.solve.greedy import search
    from kvtui.placement.solve.problem import build_problem

    def spare(cells: int) -> int:
        best = search(build_problem(replace(request, context=replace(request.context, n_ctx=cells)), engine=Stretches))
        if best.over_bytes:
            return -best.over_bytes
        return spare_bytes(request.machine, request.capacities, best.estimate, request.ram_capacity)

    return last(spare, most)


def last(spare: Callable[[int], int], most: int, known: int = 0) -> int | None:
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
