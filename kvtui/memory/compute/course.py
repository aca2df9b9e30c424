"""How far buffers grow over the context, for one placement: as long as every comparison that the allocator makes comes out the
same, it decides the same, and where each tensor ends is on a line."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kvtui.memory.compute.alloc import ENDLESS, Plan, fill


@dataclass(frozen=True, eq=False)
class Course:
    """One placement's buffers over steps from 0 to `last`. `plan`: at step 0; `more`: bytes that its tensors grow a step."""

    plan: Plan
    more: Sequence[int]
    last: int
    alignments: tuple[int, ...]
    _pieces: list["_Piece"] = field(default_factory=list, repr=False)

    def peaks(self, step: int) -> list[int]:
        """Bytes of every buffer."""
        for piece in self._pieces:
            if piece.first <= step <= piece.last:
                return piece.peaks(step)
        piece = self._filled(step)
        self._pieces.append(piece)
        return piece.peaks(step)

    def _filled(self, step: int) -> "_Piece":
        sizes = [size + each * step for size, each in zip(self.plan.sizes, self.more, strict=True)]
        same = _Same(self.last)
        tables = {a: [-(-size // a) * a for size in sizes] for a in set(self.alignments)}
        buffers = [_Lined(same, tables[a], self.more) for a in self.alignments]
        fill(replace(self.plan, sizes=sizes), buffers)
        ends = tuple([(np.array(b.ends), np.array(b.ends_more)) for b in buffers])
        return _Piece(max(step - same.down, 0), step, min(step + same.up, self.last), ends)


@dataclass(frozen=True)
class _Piece:
    """From step `first` to `last` the allocator decides as at step `at`. `ends`: of each buffer's tensors, and how much they
    grow a step."""

    first: int
    at: int
    last: int
    ends: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]

    def peaks(self, step: int) -> list[int]:
        """Bytes of every buffer."""
        return [int((ends + more * (step - self.at)).max(initial=0)) for ends, more in self.ends]


@dataclass
class _Same:
    """How many steps down and up comparisons come out the same."""

    up: int
    down: int = field(init=False)

    def __post_init__(self) -> None:
        """Any number, as long as nothing was compared."""
        self.down = self.up

    def sign(self, n: int, more: int) -> None:
        """Whether `n`, which grows by `more` a step, is negative is not to change."""
        if n < 0:
            n, more = -n - 1, -more
        if more > 0:
            self.down = min(self.down, n // more)
        elif more < 0:
            self.up = min(self.up, n // -more)

    def equal(self, n: int, more: int) -> bool:
        """Whether `n` is 0, which is not to change."""
        if n:
            if more:
                self.sign(n - 1 if n > 0 else n, more)
            return False
        if more:
            self.up = self.down = 0
        return True


class _Lined:
    """As alloc.Buffer, of sizes that grow by so many bytes a step; `ends` of all that was placed."""

    def __init__(self, same: _Same, table: Sequence[int], more: Sequence[int]) -> None:
        self.same, self.table, self.more = same, table, more
        self.offsets, self.offsets_more = [0], [0]
        self.sizes, self.sizes_more = [ENDLESS], [0]
        self.ends: list[int] = []
        self.ends_more: list[int] = []

    def take(self, t: int, _: int) -> tuple[int, int]:
        """Where `t` goes: best fit among the holes, else the end."""
        size, more, same = self.table[t], self.more[t], self.same
        sizes, grows = self.sizes, self.sizes_more
        best = last = len(sizes) - 1
        enough = []
        for i in range(last):
            if grows[i] != more:
                same.sign(sizes[i] - size, grows[i] - more)
            if size <= sizes[i]:
                enough.append(i)
                if best == last or sizes[i] <= sizes[best]:
                    best = i
        for i in enough:  # of equals the last
            if grows[i] != grows[best]:
                same.sign(sizes[i] - sizes[best] - (i > best), grows[i] - grows[best])
        offset, grown = self.offsets[best], self.offsets_more[best]
        if best < last and same.equal(sizes[best] - size, grows[best] - more):
            del self.offsets[best], self.offsets_more[best], sizes[best], grows[best]
        else:
            self.offsets[best] += size
            self.offsets_more[best] += more
            if best < last:
                sizes[best] -= size
                grows[best] -= more
        self.ends.append(offset + size)
        self.ends_more.append(grown + more)
        return offset, grown

    def hand_on(self, address: tuple[int, int], old: int, new: int) -> None:
        """Tensor `new` takes over what `old` held: what is left of it is free."""
        left, more = self.table[old] - self.table[new], self.more[old] - self.more[new]
        self.same.sign(left - 1, more)
        if left > 0:
            self._free(address[0] + self.table[new], address[1] + self.more[new], left, more)

    def give(self, address: tuple[int, int], t: int) -> None:
        """Tensor `t` is no longer needed."""
        self._free(*address, self.table[t], self.more[t])

    def _free(self, offset: int, grown: int, size: int, more: int) -> None:
        """Free, and merge with what is free beside."""
        offsets, sizes = self.offsets, self.sizes
        for i in range(len(offsets)):
            if self._touches(i, offset, grown):
                self._widen(i, size, more)
                if i + 1 < len(offsets) and self._touches(i, offsets[i + 1], self.offsets_more[i + 1]):
                    self._merge(i)
                return
            if self.same.equal(offset + size - offsets[i], grown + more - self.offsets_more[i]):
                offsets[i], self.offsets_more[i] = offset, grown
                self._widen(i, size, more)
                if i > 0 and self._touches(i - 1, offset, grown):
                    self._merge(i - 1)
                return
        at = 0
        while at < len(offsets):
            self.same.sign(offsets[at] - offset, self.offsets_more[at] - grown)
            if offsets[at] >= offset:
                break
            at += 1
        offsets.insert(at, offset)
        self.offsets_more.insert(at, grown)
        sizes.insert(at, size)
        self.sizes_more.insert(at, more)

    def _touches(self, i: int, offset: int, grown: int) -> bool:
        """Whether hole `i` ends there; the last has no end."""
        if i == len(self.sizes) - 1:
            return False
        return self.same.equal(offset - self.offsets[i] - self.sizes[i], grown - self.offsets_more[i] - self.sizes_more[i])

    def _widen(self, i: int, size: int, more: int) -> None:
        if i < len(self.sizes) - 1:
            self.sizes[i] += size
            self.sizes_more[i] += more

    def _merge(self, i: int) -> None:
        """Hole `i` with the next."""
        if i + 1 == len(self.sizes) - 1:
            self.sizes[i], self.sizes_more[i] = ENDLESS, 0
        else:
            self._widen(i, self.sizes[i + 1], self.sizes_more[i + 1])
        del self.offsets[i + 1], self.offsets_more[i + 1], self.sizes[i + 1], self.sizes_more[i + 1]


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
