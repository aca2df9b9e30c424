"""How far buffers grow over the context, for one placement: between two contexts at which the allocator decided the same
everywhere it decides the same, and each address is on a line."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kvtui.memory.compute.alloc import Buffer, Plan, fill


@dataclass
class _Traced(Buffer):
    """Notes every comparison, and where each tensor that is placed ends."""

    trace: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def take(self, size: int, step: int) -> int:
        """As it is, with the holes that were large enough, the one that was taken, and whether it was filled."""
        wanted, sizes = -(-size // self.alignment) * self.alignment, self.sizes
        enough = sum([1 << i for i in range(len(sizes) - 1) if sizes[i] >= wanted])
        before, at = len(sizes), list(self.offsets)
        offset = super().take(size, step)
        self.trace += (enough, at.index(offset), before - len(sizes))
        self.ends.append(offset + wanted)
        return offset

    def shrink(self, offset: int, old: int, new: int) -> None:
        """As it is, with whether anything is left."""
        a = self.alignment
        self.trace.append(-(-old // a) > -(-new // a))
        super().shrink(offset, old, new)

    def give(self, offset: int, size: int) -> None:
        """As it is, with what it was merged with: blocks lie apart and in order, or touch."""
        end = offset + -(-size // self.alignment) * self.alignment
        behind = offset in [start + n for start, n in zip(self.offsets, self.sizes, strict=True)]
        self.trace.append(2 * behind + (end in self.offsets))
        super().give(offset, size)


@dataclass(frozen=True)
class _Run:
    """What the allocator decided, and where tensors end: a buffer each."""

    trace: tuple[tuple[int, ...], ...]
    ends: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, eq=False)
class Course:
    """One placement's buffers over steps from 0 to `last`. `plan`: at step 0, whose tensors grow by `more` bytes a step."""

    plan: Plan
    more: Sequence[int]
    last: int
    alignments: tuple[int, ...]
    _runs: dict[int, _Run] = field(default_factory=dict, repr=False)

    def peaks(self, step: int) -> list[int]:
        """Bytes of every buffer."""
        low, high = 0, self.last
        while high - low > 1:
            if step in (low, high):
                break
            a, b = self._run(low), self._run(high)
            if a.trace == b.trace:
                return [_between(x, y, step - low, high - low) for x, y in zip(a.ends, b.ends, strict=True)]
            middle = (low + high) // 2
            low, high = (low, middle) if step <= middle else (middle, high)
        return [int(ends.max(initial=0)) for ends in self._run(step).ends]

    def _run(self, step: int) -> _Run:
        if step not in self._runs:
            sizes = [size + each * step for size, each in zip(self.plan.sizes, self.more, strict=True)]
            buffers = [_Traced(a) for a in self.alignments]
            fill(replace(self.plan, sizes=sizes), buffers)
            ends = tuple([np.array(b.ends, dtype=np.int64) for b in buffers])
            self._runs[step] = _Run(tuple([tuple(b.trace) for b in buffers]), ends)
        return self._runs[step]


def _between(low: NDArray[np.int64], high: NDArray[np.int64], step: int, steps: int) -> int:
    """The farthest end, `step` of `steps` on the way: whole, since every end is on a line of whole bytes a step."""
    return int((low + (high - low) // steps * step).max(initial=0))


def course_of(plan: Plan, low: Sequence[int], high: Sequence[int], last: int, alignments: tuple[int, ...]) -> Course | None:
    """The course of a plan whose tensors have `low` bytes at its start and `high` at its end; None where one is not on a line,
    or would be rounded off it in its buffer."""
    more = []
    for a, b in zip(low, high, strict=True):
        each, rest = divmod(b - a, last)
        if rest or each % max(alignments):
            return None
        more.append(each)
    return Course(replace(plan, sizes=low), more, last, alignments)
