"""An indexer over pools of neighbouring cells: it scores a pool by one key, and the cells of the best stay unmasked
(src/models/glm5-next.cpp, qwen4exp.cpp; llama-memory-hybrid-idx.cpp)."""

from dataclasses import dataclass

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.support import INDEXED_HEADS, INDEXED_VALUES
from kvtui.memory.compute.tape import F16, F32, I32, I64, Node

_PADDED = 64  # llama-memory-hybrid-idx.cpp, kpool_pad: pools are counted up to a multiple, the last always unused


@dataclass(frozen=True)
class Pools:
    """llm_graph_input_kpool. `cells` of a pool, `count` of pools, `new` of them filled anew, `picked` cells a token."""

    k_ids: Node
    key_cells: Node
    members: Node
    mask: Node
    tail: Node
    live: Node | None
    new_members: Node
    new_cells: Node
    new_pos: Node
    cells: int
    count: int
    new: int
    picked: int


def in_one(g: Build) -> bool:
    """Whether a GPU scores in one operation (fused_lid)."""
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    return values == INDEXED_VALUES and heads in INDEXED_HEADS


def pools(g: Build, half: bool, ordered: bool) -> Pools:
    """build_inp_kpool. `half`: the mask is f16; `ordered`: glm5-next's, with a mask of what is picked."""
    at, cells = g.at, int(g.number("attention.indexer.kpool"))
    new = at.cells // cells * at.seqs
    count = max(_PADDED, -(-(new + 1) // _PADDED) * _PADDED)
    best = min(count, int(g.number("attention.indexer.top_k")) // cells)
    tail = not ordered or g.flag("attention.indexer.kpool_select_tail", default=True)
    picked = cells * best + (cells - 1 if tail else 0)
    inp = Pools(
        k_ids=g.input(I64, at.tokens, name="k_idxs"),
        key_cells=g.input(I32, count, name="cell of a pool's key"),
        members=g.input(I32, cells, count, name="cells of a pool"),
        mask=g.input(F16 if half else F32, count, at.tokens, name="pools' mask"),
        tail=g.input(I32, cells - 1, at.tokens, name="cells of no pool yet"),
        live=g.input(F32, picked, 1, 1, at.tokens, name="what is picked") if ordered else None,
        new_members=g.input(I32, cells, new, name="cells of a new pool"),
        new_cells=g.input(I64, new, name="cell of a new pool's key"),
        new_pos=g.input(I32, 4 * new, name="positions of new pools"),
        cells=cells,
        count=count,
        new=new,
        picked=picked,
    )
    for leaf in (inp.key_cells, inp.members, inp.mask, inp.tail, inp.live):
        if leaf is not None:
            g.expand(leaf)
    return inp


def stored(g: Build, inp: Pools, packed: Node, values: int, il: int) -> Node:
    """Puts `packed` rows into the indexer's cache; the cache as rows of all streams."""
    at, width = g.at, packed.ne[0]
    cache = g.cached("i", il, at.type_k, width, at.cells, at.streams)
    into = g.reshape(cache, width, at.cells * at.streams) if at.streams > 1 else cache
    g.expand(g.set_rows(into, g.view(packed, (width, g.tokens), (4, packed.nb[2])), inp.k_ids))
    return cache


def part(g: Build, cache: Node, values: int, first: int) -> Node:
    """Some values of every cell's row (kpool_access)."""
    rows = cache.ne[1] * cache.ne[2]
    return g.view(cache, (values, rows), cache.nb[:2], cache.dtype.row_bytes(first))


def opened(g: Build, inp: Pools, kq_mask: Node, chosen: Node, live: Node, dump: Node) -> Node:
    """The mask with only the chosen cells left open: [cells + picked, tokens] where set_rows puts zeros."""
    cells = kq_mask.ne[0]
    closed = g.fill(g.new(kq_mask.dtype, cells + inp.picked))
    closed = g.reshape(g.repeat(closed, cells + inp.picked, g.tokens), 1, cells + inp.picked, g.tokens)
    zeros = g.fill(g.new(kq_mask.dtype, inp.picked))
    zeros = g.reshape(g.repeat(zeros, inp.picked, g.tokens), 1, inp.picked, g.tokens)
    ids = g.cast(chosen, F32)
    ids = g.cast(g.add(g.mul(g.sub(ids, dump), live), dump), I32)
    return g.set_rows(closed, zeros, g.reshape(ids, inp.picked, g.tokens, 1))
