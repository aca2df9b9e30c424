"""Graphs of many blocks from a graph of few: a pattern of blocks that repeats is built three times and copied from there.

What a block is built of does not depend on how many like it came before: its tensors read its own block's, those of the block
before it, or what the first block of all made for everyone (masks, positions). So the tables of the next turn are those of the
last one with ids moved by a turn's length. That is not taken for granted: the last two turns that were built are compared
entry by entry, and nothing is grown where they differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kvtui.memory.compute.collapse import Run
from kvtui.memory.compute.graph import Graph, padding_bytes
from kvtui.memory.compute.tape import Home, Node

TURNS = 3  # that are built: the first makes what all share, the last two are compared


class Placed(NamedTuple):
    """A tensor that is there before the graph. `position`: its block's among those that are built, -1: of no block;
    `number`: a weight's among its block's tensors, or a tensor's index where it is of no block."""

    kind: int
    position: int
    number: int


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
        shared, before, last, end = (seed.marks[first + i * run.period] for i in range(TURNS + 1))
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
        if home is not None and other is not None and home != other._replace(position=other.position + x.period):
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
    placed: dict[int, Placed] = {}
    for i, home in t.placed.items():
        if i < x.end:
            placed[i] = home
        elif 0 <= home.position < x.position:  # of a turn before the last
            return False
        else:
            placed[i + more] = home._replace(position=home.position + blocks) if home.position >= 0 else home
        if x.last <= i < x.end:
            for n in range(1, x.more + 1):
                placed[i + n * x.length] = home._replace(position=home.position + n * x.period)
    pinned: dict[int, int] = {}
    for i, position in t.pinned.items():
        if i < x.end:
            pinned[i] = position
        elif position < x.position:
            return False
        else:
            pinned[i + more] = position + blocks
        if x.last <= i < x.end:
            for n in range(1, x.more + 1):
                pinned[i + n * x.length] = position + n * x.period
    t.placed, t.pinned = placed, pinned
    return True


def finish(seed: Seed, t: Tables, homes: dict[int, Home], weights: dict[int, Node], pinned: dict[int, int]) -> Graph:
    """The graph of grown tables. `homes` and `pinned`: by id, as a graph has them; `weights`: those whose type is not that
    of what they repeat."""
    g, of = seed.graph, t.of
    count = range(len(of))
    leafs, attention, left, padding = frozenset(g.leafs), g.attention, g.left_to_cpu, g.padding
    nodes, sizes = [g.nodes[p] for p in of], [g.sizes[p] for p in of]
    padded = {i: padding[p] for i, p in enumerate(of) if p in padding}
    for i, node in weights.items():
        nodes[i], sizes[i], padded[i] = node, node.n_bytes, padding_bytes(node)
    return Graph(
        nodes=nodes,
        order=[i for i in count if of[i] not in leafs],
        leafs=[i for i in count if of[i] in leafs],
        sources=t.sources,
        roots=t.roots,
        by_weight=t.by_weight,
        sizes=sizes,
        padding=padded,
        reusable=[g.reusable[p] for p in of],
        batch=[g.batch[p] for p in of],
        homes=list(homes.items()),
        pinned=list(pinned.items()),
        attention={
            i: replace(attention[p], block=homes[t.roots[t.sources[i][1]]].number if attention[p].block >= 0 else -1)
            for i, p in enumerate(of)
            if p in attention
        },
        left_to_cpu=frozenset([i for i in count if of[i] in left]) if left else left,
        outputs=frozenset([i for i in count if of[i] in g.outputs]),
    )
