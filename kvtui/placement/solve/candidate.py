"""One placement with its figures, and which of several is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvtui.hardware.device import CPU
from kvtui.memory.amounts import Estimate
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import lacking
from kvtui.placement.solve.problem import Problem
from kvtui.placement.solve.yardstick import Score, score


@dataclass(frozen=True)
class Candidate:
    """A placement with its figures. `places`: a device a movable."""

    homes: tuple[int, ...]
    places: tuple[int, ...]
    estimate: Estimate
    score: Score
    over_bytes: int  # what lacks on devices and in RAM together; 0: it fits
    ram_choice_bytes: int  # what is in RAM and could be on a device


def evaluate(problem: Problem, homes: Sequence[int], places: Sequence[int]) -> Candidate:
    """Memory and speed of one placement."""
    request = problem.request
    assignment = problem.assignment(homes, places)
    memory = estimate(
        request.model,
        request.context,
        assignment,
        request.machine,
        compute=problem.compute,
        layout=problem.layout,
        learned=request.learned,
        beside=problem.beside,
    )
    in_ram = sum(m.n_bytes for m, place in zip(problem.movables, places, strict=True) if place == CPU)
    in_ram += sum(size for size, home in zip(problem.home_bytes, homes, strict=True) if home == CPU)
    over = sum(x.n_bytes for x in lacking(request.machine, request.capacities, memory, request.ram_capacity)) + (
        in_ram if request.no_ram else 0
    )
    return Candidate(tuple(homes), tuple(places), memory, score(problem, homes, places), over, in_ram)


NEAR = 1.01  # decode so close to the best counts as good: prompts decide
PROMPT_WORTH = 0.95  # prompts that take more of the best's time than this are no reason
GUARD = 1.03  # an override disables pipelining: taken only if decode gains more than 3 %


def pick(found: Sequence[Candidate]) -> Candidate:
    """The best by the yardstick; one without overrides unless another is faster by more than the guard."""
    fitting = [c for c in found if not c.over_bytes]
    if not fitting:
        return min(found, key=lambda c: c.over_bytes)
    best = min(fitting, key=lambda c: c.score.seconds)
    plain = [c for c in fitting if c.homes and CPU not in c.homes and not _moves(c)]
    if plain and min(c.score.seconds for c in plain) <= best.score.seconds * GUARD:
        return min(plain, key=lambda c: c.score.seconds)
    return best


def pick_with_prompts(found: Sequence[Candidate]) -> Candidate:
    """The best by the yardstick, or one as good with much faster prompts."""
    best = pick(found)
    near = [c for c in found if not c.over_bytes and c.score.seconds <= best.score.seconds * NEAR]
    prompt = min(near, key=lambda c: c.score.prompt_seconds, default=best)
    return prompt if prompt.score.prompt_seconds < best.score.prompt_seconds * PROMPT_WORTH else best


def _moves(c: Candidate) -> bool:
    return c.score.handoffs > sum(a != b for a, b in pairwise(c.homes))
