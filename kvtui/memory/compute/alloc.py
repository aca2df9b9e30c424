"""Where ggml's graph allocator puts tensors, and how far each buffer grows.

ggml/src/ggml-alloc.c: ggml_gallocr_alloc_graph_impl, ggml_dyn_tallocr_alloc and _free_bytes. Buffers of one chunk: CUDA,
CUDA_Host and CPU buffer types have no largest size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

ENDLESS = 1 << 62  # the last free block
EARLY = -1  # the step at which leafs are placed


@dataclass
class Buffer:
    """Free blocks by address. `table`: bytes of every tensor."""

    alignment: int
    table: Sequence[int]
    offsets: list[int] = field(default_factory=lambda: [0])
    sizes: list[int] = field(default_factory=lambda: [ENDLESS])
    peak: int = 0
    peak_at: int = -1  # step

    def padded(self, t: int) -> int:
        """Bytes that tensor `t` takes."""
        return -(-self.table[t] // self.alignment) * self.alignment

    def take(self, t: int, step: int) -> int:
        """Where `t` goes: best fit among the holes, else the end."""
        size = self.padded(t)
        sizes, best, best_size = self.sizes, -1, ENDLESS
        for i in range(len(sizes) - 1):
            if size <= sizes[i] <= best_size:
                best, best_size = i, sizes[i]
        if best < 0:
            best = len(sizes) - 1
        offset = self.offsets[best]
        if sizes[best] == size:
            del self.offsets[best], sizes[best]
        else:
            self.offsets[best] += size
            sizes[best] -= size
        if offset + size > self.peak:
            self.peak, self.peak_at = offset + size, step
        return offset

    def hand_on(self, offset: int, old: int, new: int) -> None:
        """Tensor `new` takes over what `old` held: what is left of it is free."""
        held, needed = self.padded(old), self.padded(new)
        if held > needed:
            self._free(offset + needed, held - needed)

    def give(self, offset: int, t: int) -> None:
        """Tensor `t` is no longer needed."""
        self._free(offset, self.padded(t))

    def _free(self, offset: int, size: int) -> None:
        """Free, and merge with what is free beside."""
        offsets, sizes = self.offsets, self.sizes
        end = offset + size
        for i in range(len(offsets)):
            start = offsets[i]
            if start + sizes[i] == offset:
                sizes[i] += size
                if i + 1 < len(offsets) and start + sizes[i] == offsets[i + 1]:
                    sizes[i] += sizes[i + 1]
                    del offsets[i + 1], sizes[i + 1]
                return
            if end == start:
                offsets[i] = offset
                sizes[i] += size
                if i > 0 and offsets[i - 1] + sizes[i - 1] == offset:
                    sizes[i - 1] += sizes[i]
                    del offsets[i], sizes[i]
                return
        at = 0
        while at < len(offsets) and offsets[at] < offset:
            at += 1
        offsets.insert(at, offset)
        sizes.insert(at, size)


Address = TypeVar("Address")


class Holder(Protocol[Address]):
    """What hands out memory: a Buffer, or one that does so for many contexts at once (course.py)."""

    def take(self, t: int, step: int, /) -> Address:
        """Where tensor `t` goes."""

    def hand_on(self, address: Address, old: int, new: int, /) -> None:
        """Tensor `new` takes over what `old` held."""

    def give(self, address: Address, t: int, /) -> None:
        """Tensor `t` is no longer needed."""


@dataclass(frozen=True)
class Plan:
    """What the scheduler hands to the allocator; tables by tensor id.

    `steps`: the tensor computed at each step, or -1 - n for the n-th of `waits`, a dependency without a result;
    `early`: leafs, placed first; `kept`: outputs, never freed; `external`: placed elsewhere."""

    steps: Sequence[int]
    waits: Sequence[tuple[int, ...]]
    early: Sequence[int]
    sources: Sequence[tuple[int, ...]]
    roots: Sequence[int]
    reusable: Sequence[tuple[int, ...]]
    buffer: Sequence[int]
    sizes: Sequence[int]  # in the buffer that the tensor goes to
    kept: frozenset[int]
    external: Sequence[bool]


@dataclass(frozen=True)
class Peak:
    """A buffer at its largest. `alive`: (tensor, bytes), where asked for."""

    n_bytes: int
    step: int
    alive: tuple[tuple[int, int], ...] = ()


def allocate(plan: Plan, alignments: Sequence[int], watch: Sequence[int] = ()) -> list[Peak]:
    """The peak of every buffer. `watch`: for each buffer the step at which its tensors are noted (a Peak's `step`)."""
    buffers = [Buffer(a, plan.sizes) for a in alignments]
    alive = fill(plan, buffers, watch)
    return [Peak(b.peak, b.peak_at, alive[i]) for i, b in enumerate(buffers)]


def fill(plan: Plan, buffers: Sequence[Holder[Any]], watch: Sequence[int] = ()) -> list[tuple[tuple[int, int], ...]]:
    """Everything placed in empty buffers; what is alive where it was asked for."""
    sources, roots, reusable, sizes, kept, external = (
        plan.sources,
        plan.roots,
        plan.reusable,
        plan.sizes,
        plan.kept,
        plan.external,
    )
    count = len(sizes)
    children, views = [0] * count, [0] * count
    owned = [False] * count
    fixed = [away or root >= 0 for away, root in zip(external, roots, strict=True)]  # never given memory of their own
    where = list(plan.buffer)
    address: list[Any] = [None] * count
    alive: list[tuple[tuple[int, int], ...]] = [()] * len(buffers)

    def place(t: int, step: int) -> None:
        if owned[t] or fixed[t]:
            return
        owned[t] = True
        for slot in reusable[t]:
            parent = sources[t][slot]
            # a view is never taken over: ggml_gallocr_is_own asks the view itself, which owns nothing
            if not owned[parent] or parent in kept or children[parent] != 1 or views[parent]:
                continue
            owned[parent] = False
            where[t], address[t] = where[parent], address[parent]
            buffers[where[t]].hand_on(address[t], parent, t)
            return
        address[t] = buffers[where[t]].take(t, step)

    def note(step: int) -> None:
        for b, at in enumerate(watch):
            if at == step:
                alive[b] = tuple([(i, sizes[i]) for i in range(count) if owned[i] and where[i] == b])

    def release(t: int) -> None:
        if t in kept:
            return
        buffers[where[t]].give(address[t], t)
        owned[t] = False

    for t in plan.early:
        place(t, EARLY)
    note(EARLY)
    for t in plan.steps:
        if t < 0:
            for s in plan.waits[-1 - t]:
                children[s] += 1
            continue
        if roots[t] >= 0:
            views[roots[t]] += 1
        for s in sources[t]:
            children[s] += 1
    for step, t in enumerate(plan.steps):
        if t < 0:
            needed = plan.waits[-1 - t]
        else:
            needed = sources[t]
            for s in needed:
                if not (owned[s] or fixed[s]):
                    place(s, step)
            if not (owned[t] or fixed[t]):
                place(t, step)
            if watch and step in watch:
                note(step)
        for s in needed:
            left = children[s] = children[s] - 1
            if left or views[s]:
                continue
            root = roots[s]
            if root >= 0:
                views[root] -= 1
                if views[root] == 0 and children[root] == 0 and owned[root]:
                    release(root)
            elif owned[s]:
                release(s)
    return alive
