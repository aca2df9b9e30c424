"""The yardstick of a placement: decode seconds a token from bytes read and bandwidths, hand-offs apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kvtui.hardware.device import CPU
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem

UNKNOWN_LINK = 16 * 0.985e9  # bytes a second: PCIe 3.0, sixteen lanes of 8 GT/s in 128b/130b coding


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
    seconds = sum(s[h] for s, h in zip(problem.home_seconds, homes, strict=True))
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
    return problem.request.machine.devices[device].link or UNKNOWN_LINK


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
