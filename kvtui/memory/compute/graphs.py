"""The graph of a model's family, for the blocks that are asked for."""

from collections.abc import Hashable
from dataclasses import replace
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from kvtui.flags.context import CELL_STEP
from kvtui.memory.compute import families as folder
from kvtui.memory.compute.build import NO_ROPE_STEP, Build, NoGraphError, weight_node
from kvtui.memory.compute.collapse import kinds, representatives, runs
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.graph import Graph, freeze, padding_bytes
from kvtui.memory.compute.grow import TURNS, Grown, Placed, Seed, finish, grow
from kvtui.memory.compute.pooling import pool
from kvtui.memory.compute.shapes import Shapes
from kvtui.memory.compute.stretch import Ends, Stretch, ends_of, stretched
from kvtui.memory.compute.tape import OUTPUT_WEIGHT, WEIGHT, Home, Node
from kvtui.model.spec import ModelSpec


@cache
def families() -> dict[str, Family]:
    """By general.architecture."""
    found: dict[str, Family] = {}
    for info in iter_modules(folder.__path__):
        family: Family = import_module(f"{folder.__name__}.{info.name}").FAMILY
        found.update(dict.fromkeys(family.architectures, family))
    return found


def covered(model: ModelSpec, drafts: bool = False) -> bool:
    """Whether the model's family has a graph here; `drafts`: one of its MTP context."""
    family = families().get(model.architecture)
    return family is not None and not (drafts and family.draws(model.architecture) is None)


@lru_cache(maxsize=64)
def build_graph(model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...], drafts: bool = False) -> Graph:
    """The graph of these blocks; `drafts`: of the MTP context."""
    return _frozen(Build(model, sizes, blocks), drafts)


def _frozen(g: Build, drafts: bool = False) -> Graph:
    model = g.model
    family = families()[model.architecture]
    expand = family.draws(model.architecture) if drafts else family.graph
    if expand is None:
        raise NoGraphError(model.architecture)
    try:
        expand(g)
    except ZeroDivisionError:
        raise NoGraphError(model.architecture) from None
    if not drafts:
        pool(g)
    return freeze(g, alibi=g.number("attention.max_alibi_bias") > 0 or family.alibi(model))


@lru_cache(maxsize=8)
def _blocks(model: ModelSpec) -> tuple[int, ...]:
    """A number for what each block is built by: its tensors' shapes, numbers that the header has for each block, and its place
    where the family counts blocks (`Family.stepped`)."""
    arch, keys = model.architecture, model.header.metadata
    lists = [v for k, v in keys.items() if k.startswith(f"{arch}.") and isinstance(v, (list, tuple)) and len(v) >= model.n_layer]
    stepped = arch in families()[arch].stepped
    images = keys.get(f"{arch}.n_deepstack_layers", 0)  # the first blocks get an image's rows again
    again = images if isinstance(images, int) else 0
    known: dict[Hashable, int] = {}
    return tuple(
        [
            known.setdefault(
                (kind.shape, tuple([v[il] for v in lists]), il % NO_ROPE_STEP if stepped else 0, il if il < again else -1),
                len(known),
            )
            for il, kind in enumerate(kinds(model))
        ]
    )


@lru_cache(maxsize=64)
def graph_of(model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...], over: bool = False) -> Graph:
    """The graph of these blocks as `build_graph` gives it, where equal blocks are built alike: a few are built and stand for
    the others, whichever they are. `over`: it will be asked for at many contexts."""
    alike = _blocks(model)
    keys = tuple([alike[il] for il in blocks])
    found = _grown_over(model, sizes, keys) if over else _grown(model, sizes, keys)
    if found is None:
        return build_graph(model, sizes, blocks)
    g, own, tensors = found.graph, kinds(model), model.tensors
    homes: list[tuple[int, int, int]] = []
    others: dict[int, Node] = {}  # weights whose type is not that of what they repeat
    for i, kind, position, number in found.placed:
        if position < 0:
            homes.append((i, kind, number))
        elif kind == WEIGHT:
            index = own[blocks[position]].tensors[number]
            homes.append((i, kind, index))
            t, like = tensors[index], tensors[g.nodes[i].home.number]  # type: ignore[union-attr] # weights have one
            if t.n_bytes != like.n_bytes or t.type_name != like.type_name:
                others[i] = weight_node(t, Home(kind, index))
        else:
            homes.append((i, kind, blocks[position]))
    g = replace(
        g,
        homes=homes,
        pinned=[(i, blocks[position]) for i, position in found.pinned],
        attention={i: replace(a, block=blocks[found.read[i]]) if i in found.read else a for i, a in g.attention.items()},
    )
    if not others:
        return g
    nodes, n_bytes, padding = [*g.nodes], [*g.sizes], {**g.padding}
    for i, node in others.items():
        nodes[i], n_bytes[i], padding[i] = node, node.n_bytes, padding_bytes(node)
    return replace(g, nodes=nodes, sizes=n_bytes, padding=padding)


def left_to_cpu(model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...]) -> bool:
    """Whether CUDA leaves operations of these blocks to the CPU; how many cells there are is nothing that it asks."""
    found = ends_of(model, sizes)
    return bool(_left(model, sizes if found is None else found.at(CELL_STEP), blocks))


@lru_cache(maxsize=32)
def _left(model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...]) -> frozenset[int]:
    return graph_of(model, sizes, blocks).left_to_cpu


def _grown_over(model: ModelSpec, sizes: Shapes, keys: tuple[int, ...]) -> Grown | None:
    """`_grown`, by what is known of contexts around."""
    ends = ends_of(model, sizes)
    found = _stretched(model, ends, keys) if ends is not None else None
    if found is None:
        return _grown(model, sizes, keys)
    grown, stretch = found
    return replace(grown, graph=stretch.at(sizes))


@lru_cache(maxsize=64)
def _stretched(model: ModelSpec, ends: Ends, keys: tuple[int, ...]) -> tuple[Grown, Stretch] | None:
    """The graph of blocks that are `keys` at the low end, and how it grows from there."""
    first = tuple([keys[i] for i in representatives(keys, TURNS)])
    stretch, seed = _stretch(model, ends, first), _seed(model, ends.at(ends.low), first)
    tables = grow(seed, runs(keys, TURNS)) if seed is not None and stretch is not None else None
    if seed is None or stretch is None or tables is None:
        return None
    grown = finish(seed, tables)
    return grown, stretch.repeated(grown.graph, tables.of)


@lru_cache(maxsize=32)
def _stretch(model: ModelSpec, ends: Ends, keys: tuple[int, ...]) -> Stretch | None:
    """Of graphs of the first blocks that are `keys`."""

    def build(sizes: Shapes) -> Graph | None:
        seed = _seed(model, sizes, keys)
        return None if seed is None else seed.graph

    return stretched(ends, build)


class Reach(NamedTuple):
    """Between two contexts graphs are alike. `key`: of types and blocks that are alike too; `low`, `high`: shapes at the ends."""

    key: Hashable
    low: Shapes
    high: Shapes

    @property
    def steps(self) -> int:
        """From end to end."""
        return (self.high.cells - self.low.cells) // CELL_STEP


def reach_of(model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...]) -> Reach | None:
    """Over which contexts around `sizes` `graph_of` gives the same graph but for sizes; None where it does not."""
    alike, found = _blocks(model), ends_of(model, sizes)
    keys = tuple([alike[il] for il in blocks])
    if found is None or _stretched(model, found, keys) is None:
        return None
    low, high = (replace(found.at(n), type_k=sizes.type_k, type_v=sizes.type_v) for n in (found.low, found.high))
    return Reach(found, low, high)


@lru_cache(maxsize=32)
def _grown(model: ModelSpec, sizes: Shapes, keys: tuple[int, ...]) -> Grown | None:
    """The graph of blocks that are `keys`; None where it must be built block by block."""
    seed = _seed(model, sizes, tuple([keys[i] for i in representatives(keys, TURNS)]))
    tables = grow(seed, runs(keys, TURNS)) if seed is not None else None
    return finish(seed, tables) if seed is not None and tables is not None else None


@lru_cache(maxsize=32)
def _seed(model: ModelSpec, sizes: Shapes, keys: tuple[int, ...]) -> Seed | None:
    """A graph of the first blocks that are `keys`; None where a block's weights are looked into: what is seen there may be
    of another type in the next block."""
    unused: dict[int, list[int]] = {}
    for il, key in reversed(list(enumerate(_blocks(model)))):
        unused.setdefault(key, []).append(il)
    blocks = tuple([unused[key].pop() for key in keys])
    g = Build(model, sizes, blocks)
    graph = _frozen(g)
    where = {il: i for i, il in enumerate(blocks)}
    number = {t: n for il in blocks for n, t in enumerate(kinds(model)[il].tensors)}
    placed: dict[int, Placed] = {}
    for i, kind, index in graph.homes:
        block = model.tensors[index].block if kind == WEIGHT else index
        if kind == OUTPUT_WEIGHT or block is None:
            placed[i] = (kind, -1, index)
        else:
            placed[i] = (kind, where[block], number[index] if kind == WEIGHT else 0)
    if any(r >= 0 and r in placed and placed[r][0] == WEIGHT and placed[r][1] >= 0 for r in graph.roots):
        return None
    return Seed(graph, tuple(g.blocks.marks), placed, {i: where[il] for i, il in graph.pinned})
