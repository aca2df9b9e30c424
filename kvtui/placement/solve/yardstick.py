"""The yardstick of a placement: decode seconds a token from bytes read and bandwidths, hand-offs apart, and the bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvtui.hardware.device import CPU
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem

_UNKNOWN_LINK = 16 * 0.985e9  # bytes a second: PCIe 3.0, sixteen lanes of 8 GT/s in 128b/130b coding


@dataclass(frozen=True)
class Score:
    """Seconds a token: reading, and how often the work changes device. `prompt_seconds`: of a prompt's token."""

    read_seconds: float
    handoffs: int
    prompt_seconds: float = 0.0

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
    return Score(seconds, changes + 2 * len(away), _prompt_seconds(problem, homes, places))


def link_of(problem: Problem, device: int) -> float:
    """Bytes a second between RAM and a device."""
    return problem.request.machine.devices[device].link or _UNKNOWN_LINK


def _prompt_seconds(problem: Problem, homes: Sequence[int], places: Sequence[int]) -> float:
    """Prompt seconds a token, by bandwidths alone: once a ubatch the experts in RAM cross the link of the device opened first,
    which computes them (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur), and the devices read all that is on them.
    Arithmetic is not counted: a prompt is never faster."""
    speed = list(problem.seconds_per_byte)
    seconds = sum(size * speed[home] for size, home in zip(problem.home_bytes, homes, strict=True))
    if problem.order and problem.request.context.op_offload:
        speed[CPU] = 1.0 / link_of(problem, problem.order[0])
    seconds += sum(m.n_bytes * speed[place] for m, place in zip(problem.movables, places, strict=True))
    return seconds / max(problem.compute.ubatch, 1)


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
