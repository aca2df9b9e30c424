"""The yardstick of a placement: decode seconds a token from bytes read and bandwidths, hand-offs apart, and the bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvtui.hardware.device import CPU
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem


@dataclass(frozen=True)
class Score:
    """Seconds a token: reading, and how often the work changes device."""

    read_seconds: float
    handoffs: int

    @property
    def seconds(self) -> float:
        """With hand-offs."""
        return self.read_seconds + self.handoffs * HANDOFF_SECONDS


def score(problem: Problem, homes: Sequence[int], places: Sequence[int]) -> Score:
    """The yardstick of blocks on `homes` and movable tensors on `places`."""
    speed = problem.seconds_per_byte
    seconds = sum(r * speed[h] for r, h in zip(problem.home_read, homes, strict=True))
    seconds += sum(r * s for r, s in zip(problem.pinned_read, speed, strict=True))
    away: set[tuple[int, int]] = set()
    for m, place in zip(problem.movables, places, strict=True):
        seconds += m.read * speed[place]
        if place != homes[m.block]:
            away.add((m.block, place))
    tensors = problem.model.tensors
    for tensor, place in problem.pinned:
        block = tensors[tensor].block
        if block is not None and place != homes[block]:
            away.add((block, place))
    changes = sum(a != b for a, b in pairwise(homes))
    return Score(seconds, changes + 2 * len(away))


def bound(problem: Problem, capacities: Sequence[float]) -> float:
    """Seconds a token with every byte free to sit anywhere: the densest bytes on the fastest devices.

    `capacities`: bytes a device may hold, compute buffers taken off."""
    total_bytes = sum(problem.home_bytes) + sum(m.n_bytes for m in problem.movables)
    if not total_bytes:
        return 0.0
    items = [(r / b, b) for r, b in zip(problem.home_read, problem.home_bytes, strict=True) if b]
    items += [(m.read / m.n_bytes, m.n_bytes) for m in problem.movables if m.n_bytes]
    items.sort(reverse=True)
    speed = problem.seconds_per_byte
    places = sorted(range(len(capacities)), key=lambda d: speed[d])
    room = [(max(capacities[d] - problem.pinned_bytes[d], 0), speed[d]) for d in places if speed[d] < speed[CPU]]
    room.append((float("inf"), speed[CPU]))
    seconds, k, left = sum(r * s for r, s in zip(problem.pinned_read, speed, strict=True)), 0, room[0][0]
    for density, size in items:
        rest = float(size)
        while rest > 0:
            part = min(rest, left)
            seconds += density * part * room[k][1]
            rest -= part
            left -= part
            if left <= 0 and rest > 0:
                k += 1
                left = room[k][0]
    return seconds
