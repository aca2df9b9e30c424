"""Graphs of many blocks from a graph of few: a pattern of blocks that repeats is built four times and copied from there.

What a block is built of does not depend on how many like it came before: its tensors read its own block's, those of the block
before it, or what the first block of all made for everyone (masks, positions). So the tables of the next turn are those of the
last one with ids moved by a turn's length. That is not taken for granted: the last two turns that were built are compared
entry by entry, and nothing is grown where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvtui.memory.compute.collapse import Run
from kvtui.memory.compute.graph import Graph, used

TURNS = 4  # that are built: the first makes what all share, the second still reads it, the last two are compared


# a tensor that is there before the graph: what kind (tape.py, Home); its block's position among those that are built, -1 where
# it is of no block; a weight's number among its block's tensors, or a tensor's index where it is of no block
Placed = tuple[int, int, int]


@dataclass(frozen=True)
class Seed:
    """A graph of few blocks. `marks`: how many tensors there were before each block; `placed`, `pinned`: by id, blocks by
    position."""

    graph: Graph
    marks: tuple[int, ...]
    placed: dict[int, Placed]
    pinned: dict[int, int]


@dataclass
class Tables:
    """Entries of a graph under way. `of`: the seed's ids that they repeat."""

    of: list[int]
    sources: list[tuple[int, ...]]
    roots: list[int]
    by_weight: list[int]
    placed: dict[int, Placed]
    pinned: dict[int, int]


@dataclass(frozen=True)
class Grown:
    """A graph whose blocks have positions alone. `placed`: (id, *Placed); `pinned`: (id, position); `read`: the position
    of the block whose cache a flash attention reads."""

    graph: Graph
    placed: Sequence[tuple[int, int, int, int]]
    pinned: Sequence[tuple[int, int]]
    read: Mapping[int, int]


@dataclass(frozen=True)
class _Turns:
    """The last two turns of a run: ids `before` to `last` to `end`, and the position of the last one's first block.
    `shared`: what was there before the run; `period` in blocks, `more`: turns to add."""

    shared: int
    before: int
    last: int
    end: int
    position: int
    period: int
    more: int

    @property
    def length(self) -> int:
        """Tensors of a turn."""
        return self.end - self.last


def grow(seed: Seed, runs: Sequence[Run]) -> Tables | None:
    """The tables of a graph whose `runs` have all their turns, of a seed that has at most TURNS of each; None: the turns
    are not alike."""
    g = seed.graph
    t = Tables(list(range(len(g.nodes))), [*g.sources], [*g.roots], [*g.by_weight], {**seed.placed}, {**seed.pinned})
    positions, at = [], 0
    for run in runs:
        positions.append(at)
        at += min(run.turns, TURNS) * run.period
    for run, first in zip(reversed(runs), reversed(positions), strict=True):  # from behind: earlier ids stay what they are
        if run.turns <= TURNS:
            continue
        behind = first + TURNS * run.period
        if behind >= len(seed.marks):
            return None
        shared, *_, before, last, end = (seed.marks[first + i * run.period] for i in range(TURNS + 1))
        turns = _Turns(shared, before, last, end, behind - run.period, run.period, run.turns - TURNS)
        if not (_alike(seed, turns) and _repeat(t, turns)):
            return None
    return t


def _alike(seed: Seed, x: _Turns) -> bool:
    """Whether the last turn is the one before it, moved."""
    g, length = seed.graph, x.length
    if x.last - x.before != length:
        return False
    for i in range(x.last, x.end):
        j = i - length
        a, b = g.nodes[i], g.nodes[j]
        if (a.op, a.ne, a.input, a.output, a.unary) != (b.op, b.ne, b.input, b.output, b.unary):
            return False
        if a.home is None and (a.nb, a.dtype) != (b.nb, b.dtype):  # weights may be of other types
            return False
        links = ((*g.sources[i], g.roots[i], g.by_weight[i]), (*g.sources[j], g.roots[j], g.by_weight[j]))
        if len(links[0]) != len(links[1]):
            return False
        if any(s != r + (length if s >= x.before else 0) for s, r in zip(*links, strict=True)):
            return False
        home, other = seed.placed.get(i), seed.placed.get(j)
        if (home is None) != (other is None):
            return False
        if home is not None and other is not None and home != (other[0], other[1] + x.period, other[2]):
            return False
        if seed.pinned.get(i, -1) != (seed.pinned[j] + x.period if j in seed.pinned else -1):
            return False
    return True


def _repeat(t: Tables, x: _Turns) -> bool:
    """Puts the turns that are missing behind the last one. False: what follows reads a turn before the last."""
    before, last, end, length, total = x.before, x.last, x.end, x.length, x.more * x.length
    tail = range(end, len(t.of))
    known = {s for i in range(last, end) for s in (*t.sources[i], t.roots[i], t.by_weight[i]) if s < before}
    for i in tail:
        for s in (*t.sources[i], t.roots[i], t.by_weight[i]):
            if before <= s < last or (x.shared <= s < before and s not in known):
                return False
    moves = range(length, total + 1, length)
    of, sources, turn = t.of[last:end], t.sources[last:end], slice(last, end)
    t.of[end:end] = of * x.more
    copied = [tuple([s + d if s >= before else s for s in src]) for d in moves for src in sources]
    t.sources[end:] = [*copied, *(tuple([s + total if s >= last else s for s in src]) for src in t.sources[end:])]
    for table in (t.roots, t.by_weight):
        own = table[turn]
        copies = [s + d if s >= before else s for d in moves for s in own]
        table[end:] = [*copies, *(s + total if s >= last else s for s in table[end:])]
    return _replaced(t, x)


def _replaced(t: Tables, x: _Turns) -> bool:
    """The same for what is there before the graph and what is pinned."""
    more, blocks = x.more * x.length, x.more * x.period
    placed = {i: home for i, home in t.placed.items() if i < x.end}
    turn = [(i, home) for i, home in placed.items() if i >= x.last]
    for n in range(1, x.more + 1):
        d, b = n * x.length, n * x.period
        placed.update([(i + d, (kind, position + b, number)) for i, (kind, position, number) in turn])
    for i, home in t.placed.items():
        if i >= x.end:
            kind, position, number = home
            if 0 <= position < x.position:  # of a turn before the last
                return False
            placed[i + more] = (kind, position + blocks, number) if position >= 0 else home
    pinned = {i: position for i, position in t.pinned.items() if i < x.end}
    norms = [(i, position) for i, position in pinned.items() if i >= x.last]
    for n in range(1, x.more + 1):
        d, b = n * x.length, n * x.period
        pinned.update([(i + d, position + b) for i, position in norms])
    for i, position in t.pinned.items():
        if i >= x.end:
            if position < x.position:
                return False
            pinned[i + more] = position + blocks
    t.placed, t.pinned = placed, pinned
    return True


def finish(seed: Seed, t: Tables) -> Grown:
    """The graph of grown tables."""
    g, of = seed.graph, t.of
    leafs, left, outputs, views, padding = frozenset(g.leafs), g.left_to_cpu, g.outputs, g.views, g.padding
    order = [i for i, p in enumerate(of) if p not in leafs]
    viewed = frozenset([i for i, p in enumerate(of) if p in views])
    graph = Graph(
        nodes=[g.nodes[p] for p in of],
        order=order,
        leafs=[i for i, p in enumerate(of) if p in leafs],
        sources=t.sources,
        roots=t.roots,
        by_weight=t.by_weight,
        sizes=[g.sizes[p] for p in of],
        padding={i: padding[p] for i, p in enumerate(of) if p in padding} if padding else padding,
        reusable=[g.reusable[p] for p in of],
        batch=[g.batch[p] for p in of],
        homes=(),
        pinned=(),
        attention={i: g.attention[p] for i, p in enumerate(of) if p in g.attention} if g.attention else g.attention,
        left_to_cpu=frozenset([i for i, p in enumerate(of) if p in left]) if left else left,
        outputs=frozenset([i for i, p in enumerate(of) if p in outputs]),
        ops=[g.ops[p] for p in of],
        views=viewed,
        work=[i for i in order if i not in viewed],
        uses=used(t.sources),
    )
    placed = [(i, *home) for i, home in t.placed.items()]
    read = {i: t.placed[t.roots[t.sources[i][1]]][1] for i, a in graph.attention.items() if a.block >= 0}
    return Grown(graph, placed, list(t.pinned.items()), read)
