"""Graphs over the context: of contexts that are alike only sizes differ, and those by so many bytes a step.

What llama.cpp reserves for is a `Shapes`. Between two of them that differ by `cells` alone, graphs have the same tensors in the
same order, and each tensor's bytes are on a line; types of one sort differ in the bytes of the caches that are read, by
the ratio of their blocks. The first is not taken for granted: three graphs are built, at both ends of a stretch and at an odd
step between, and where they are not so, none is derived from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kvtui.cache.kernels import Attention
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import CELL_STEP
from kvtui.memory.compute.dsa import reads_of_its_own
from kvtui.memory.compute.graph import Attended, Graph
from kvtui.memory.compute.optimize import MOST_REDUCED
from kvtui.memory.compute.sched import OFFLOAD_ROWS
from kvtui.memory.compute.shapes import Shapes, cache_dtype
from kvtui.memory.compute.tape import CACHE, Dtype
from kvtui.model.spec import ModelSpec

_GROWS = 64  # a stretch ends at so many times the cells of its start: 256, 16k, 1M
# of a graph: all but its sizes
_LINKS = ("order", "leafs", "sources", "roots", "by_weight", "reusable", "homes", "pinned")
_TABLES = (*_LINKS, "padding", "left_to_cpu", "outputs", "ops")
_LIKE_K, _LIKE_V = "q8_0", "q5_1"  # stand for all quantised types of K and of V; two, so that caches can be told apart


@dataclass(frozen=True)
class Ends:
    """A stretch's `low` and `high` cells of the Shapes that `at` gives."""

    base: Shapes
    window_follows: bool  # a window that is wider than the context is cut to it
    low: int
    high: int

    def at(self, cells: int) -> Shapes:
        """The same at another context."""
        return replace(self.base, cells=cells, swa_cells=cells if self.window_follows else self.base.swa_cells)

    @property
    def between(self) -> int:
        """Cells of an odd step near the middle: what is rounded to several steps shows there."""
        return ((self.low + self.high) // CELL_STEP // 2 | 1) * CELL_STEP


@dataclass(frozen=True, eq=False)
class Stretch:
    """`graph` at the low end. `more`: (tensor, bytes a step of cells); `attends`: (flash attention, cells a step); `of_k`,
    `of_v`: tensors of quantised caches."""

    ends: Ends
    graph: Graph
    more: tuple[tuple[int, int], ...]
    attends: tuple[tuple[int, int], ...]
    of_k: tuple[int, ...]
    of_v: tuple[int, ...]

    def at(self, sizes: Shapes) -> Graph:
        """The graph that is built of `sizes`, which lie in the stretch."""
        steps = (sizes.cells - self.ends.low) // CELL_STEP
        n_bytes, padding = [*self.graph.sizes], self.graph.padding
        for i, each in self.more:
            n_bytes[i] += each * steps
        base = self.ends.base
        for ids, like, own in ((self.of_k, base.type_k, sizes.type_k), (self.of_v, base.type_v, sizes.type_v)):
            if own.block_bytes != like.block_bytes:
                for i in ids:
                    n_bytes[i] = _scaled(n_bytes[i], like, own)
                scaled = frozenset(ids)
                padding = {i: _scaled(n, like, own) if i in scaled else n for i, n in padding.items()}
        return replace(self.graph, sizes=n_bytes, padding=padding, attention=self._attention(sizes, steps))

    def repeated(self, graph: Graph, of: Sequence[int]) -> "Stretch":
        """The same of a graph whose tensors repeat those of this one (grow.py), `of` which each."""
        more, cells = dict(self.more), dict(self.attends)
        of_k, of_v = (frozenset(ids) for ids in (self.of_k, self.of_v))
        return Stretch(
            self.ends,
            graph,
            tuple([(i, more[p]) for i, p in enumerate(of) if p in more]),
            tuple([(i, cells[of[i]]) for i in graph.attention]),
            tuple([i for i, p in enumerate(of) if p in of_k]),
            tuple([i for i, p in enumerate(of) if p in of_v]),
        )

    def _attention(self, sizes: Shapes, steps: int) -> dict[int, Attended]:
        """Types and cells as they are; equal kernels stay one value."""
        made: dict[tuple[int, int, int], Attended] = {}
        found = {}
        for i, each in self.attends:
            a = self.graph.attention[i]
            key = (id(a.attention), id(a.batch), each)
            known = made.get(key)
            if known is None:
                batch = replace(a.batch, n_cells=a.batch.n_cells + each * steps)
                known = made[key] = Attended(_typed(a, self.ends.base, sizes), batch, a.block)
            found[i] = known if known.block == a.block else replace(known, block=a.block)
        return found


def ends_of(model: ModelSpec, sizes: Shapes) -> Ends | None:
    """The stretch that `sizes` lies in, by types that stand for its own; None where cells are no whole steps."""
    steps, rest = divmod(sizes.cells, CELL_STEP)
    if rest or not steps:
        return None
    low = 1
    while low * _GROWS < steps:
        low *= _GROWS
    type_k = _like(sizes.type_k, _LIKE_K)
    if reads_of_its_own(model, sizes.type_k) != reads_of_its_own(model, type_k):
        type_k = sizes.type_k
    type_v = _like(sizes.type_v, _LIKE_V)
    if type_k.name == "f32" and not type_v.quantized:  # a K that is cast is no cache: nothing says then that its V is one
        type_v = sizes.type_v
    follows = sizes.swa_cells == sizes.cells
    base = replace(sizes, cells=0, swa_cells=0 if follows else sizes.swa_cells, type_k=type_k, type_v=type_v)
    return Ends(base, follows, low * CELL_STEP, low * _GROWS * CELL_STEP)


def _like(dtype: Dtype, quantized: str) -> Dtype:
    """A type that is read alike, but for its bytes."""
    if dtype.quantized:
        return cache_dtype(quantized)
    return cache_dtype("f16") if CACHE_TYPES[dtype.name].row_bytes(1) == CACHE_TYPES["f16"].row_bytes(1) else dtype


def stretched(ends: Ends, build: Callable[[Shapes], Graph | None]) -> Stretch | None:
    """The stretch by graphs that are built at its ends and between; None where they are not on a line."""
    low, middle, high = (build(ends.at(cells)) for cells in (ends.low, ends.between, ends.high))
    if low is None or middle is None or high is None or not (_same(low, middle) and _same(low, high)):
        return None
    to_middle, to_high = ((cells - ends.low) // CELL_STEP for cells in (ends.between, ends.high))
    more = _slopes(low.sizes, middle.sizes, high.sizes, to_middle, to_high)
    cells, middle_cells, high_cells = ([a.batch.n_cells for a in g.attention.values()] for g in (low, middle, high))
    attends = _slopes(cells, middle_cells, high_cells, to_middle, to_high)
    held = _caches(low, ends.base)
    if more is None or attends is None or held is None:
        return None
    by_step = [0] * len(low.attention)
    for n, each in attends:
        by_step[n] = each
    return Stretch(ends, low, tuple(more), tuple(zip(low.attention, by_step, strict=True)), *held)


def _slopes(
    low: Sequence[int], middle: Sequence[int], high: Sequence[int], to_middle: int, to_high: int
) -> list[tuple[int, int]] | None:
    """(entry, how much it grows a step) of those that grow; None where one is not on a line."""
    found = []
    for i, (a, b, c) in enumerate(zip(low, middle, high, strict=True)):
        if a != c or a != b:
            each, rest = divmod(c - a, to_high)
            if rest or a + each * to_middle != b:
                return None
            found.append((i, each))
    return found


def _same(a: Graph, b: Graph) -> bool:
    """Whether two graphs differ in sizes alone, as far as scheduler and allocator see."""
    if any(getattr(a, name) != getattr(b, name) for name in _TABLES):
        return False
    if [min(n, OFFLOAD_ROWS) for n in a.batch] != [min(n, OFFLOAD_ROWS) for n in b.batch]:
        return False
    for i in a.order:  # a product's shape decides whether it is fused (optimize.py)
        x, y = a.nodes[i], b.nodes[i]
        if x.op == "mul" and x.ne != y.ne and min(x.ne[1], y.ne[1]) <= MOST_REDUCED:
            return False
    kernels = (((x.attention, x.block, x.batch.n_tokens, x.batch.n_streams) for x in g.attention.values()) for g in (a, b))
    return a.attention.keys() == b.attention.keys() and all(x == y for x, y in zip(*kernels, strict=True))


def _caches(g: Graph, base: Shapes) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Tensors of quantised caches, K's and V's; None where a result has such a type: nothing says whose it is."""
    found: tuple[list[int], list[int]] = [], []
    for i, node in enumerate(g.nodes):
        if not node.dtype.quantized:
            continue
        root = node.view if node.view is not None else node
        if root.op != "none":
            return None
        if root.home is not None and root.home.kind == CACHE:
            found[node.dtype != base.type_k].append(i)
    return tuple(found[0]), tuple(found[1])


def _typed(a: Attended, base: Shapes, own: Shapes) -> Attention:
    """The attention with the types that caches have."""
    type_v = a.attention.type_v
    if a.block < 0:  # K is of no cache as it is
        return (
            replace(a.attention, type_v=own.type_v.name) if type_v == base.type_v.name and base.type_v.quantized else a.attention
        )
    if a.attention.v_in_k:
        type_v = own.type_k.name
    elif type_v == base.type_v.name:
        type_v = own.type_v.name
    return replace(a.attention, type_k=own.type_k.name, type_v=type_v)


def _scaled(n_bytes: int, like: Dtype, own: Dtype) -> int:
    """Bytes of rows of one type in another with as many values a block."""
    return n_bytes * int(own.block_bytes) // int(like.block_bytes)
