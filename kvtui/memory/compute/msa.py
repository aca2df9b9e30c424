"""Attention over blocks of cells that an indexer picks (src/models/minimax-m3.cpp): of K and V as they are, heads of K/V as
streams of one flash attention."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import Cache, caches, project, store, turn
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import F16, F32, I32, I64, Node

# llama-kv-cache-msa.cpp, get_n_pos: positions of an empty cache, which is what is reserved for
_POSITIONS = 256


@dataclass(frozen=True)
class Blocks:
    """llm_graph_input_msa and the keys' ids."""

    cache: Cache
    k_ids: Node
    bias: Node
    visible: Node
    slots: Node
    block_of: Node
    mask: Node
    size: int  # positions of a block
    count: int


def blocks(g: Build) -> Blocks:
    """The inputs, of a prompt's graph."""
    at, cache = g.at, caches(g).full
    size = int(g.number("attention.indexer.block_size"))
    positions = -(-_POSITIONS // size) * size
    return Blocks(
        cache=cache,
        k_ids=g.input(I64, at.tokens, name="k_idxs"),
        bias=g.input(F32, positions // size, at.tokens, name="blocks' bias"),
        visible=g.input(F32, positions, at.tokens, name="positions' mask"),
        slots=g.input(I32, positions, at.streams, name="cell of a position"),
        block_of=g.input(I32, at.cells, at.streams, name="block of a cell"),
        mask=g.cast(cache.mask, F32),
        size=size,
        count=positions // size,
    )


def enabled(g: Build) -> bool:
    """Whether blocks are picked at all: with flash attention, and a stream for every slot."""
    return g.at.flash and (g.at.seqs == 1 or g.at.streams > 1)


def attend_blocks(g: Build, inp: Blocks, cur: Node, q: Node, k: Node, v: Node, pos: Node, il: int) -> Node:
    """The sparse branch of llama_model_minimax_m3::graph, for batches."""
    at, x, c = g.at, g.layer(il), inp.cache
    values, heads = (int(g.number(f"attention.indexer.{n}")) for n in ("key_length", "head_count"))
    iq = g.reshape(g.mm(g.w("indexer.q_proj", il), cur), values, heads, g.tokens)
    ik = g.reshape(g.mm(g.w("indexer.k_proj", il), cur), values, 1, g.tokens)
    iq = g.rope(g.normed(iq, "indexer.q_norm", il), pos)
    ik = g.rope(g.normed(ik, "indexer.k_norm", il), pos)
    keys = g.cached("i", il, at.type_k, values, c.cells, at.streams)
    g.expand(store(g, keys, ik, inp.k_ids, c.cells))
    if c.k_rot is not None:
        q, k = turn(g, q, c.k_rot), turn(g, k, c.k_rot)
    if c.v_rot is not None:
        v = turn(g, v, c.v_rot)
    for part in (q, k, v):
        g.expand(part)
    n_k, n_v = x.n_embd_k_gqa, x.n_embd_v_gqa
    cache_k = g.cached("k", il, at.type_k, n_k, c.cells, at.streams)
    cache_v = g.cached("v", il, at.type_v, n_v, c.cells, at.streams)
    g.expand(store(g, cache_k, k, c.k_ids, c.cells))
    g.expand(store(g, cache_v, v, c.v_ids, c.cells))
    outs = [_stream(g, inp, s, iq, keys, q, cache_k, cache_v, il) for s in range(at.streams)]
    out = outs[0]
    for part in outs[1:]:
        out = g.concat(out, part, 1)
    if c.v_rot is not None:
        out = turn(g, out, c.v_rot)
    return project(g, out, il)


def _stream(g: Build, inp: Blocks, s: int, iq: Node, keys: Node, q: Node, cache_k: Node, cache_v: Node, il: int) -> Node:
    """One stream of the batch."""
    at, x = g.at, g.layer(il)
    each, cells, heads = at.tokens // at.streams, inp.cache.cells, iq.ne[1]
    first = s * each
    iq = g.view(iq, (*iq.ne[:2], each), iq.nb[:3], first * iq.nb[2])
    own = g.view(keys, (keys.ne[0], cells), keys.nb[:2], s * keys.nb[2])
    by_position = g.get_rows(own, g.view(inp.slots, (inp.slots.ne[0],), None, s * inp.slots.nb[1]))
    score = g.mul_mat(by_position, g.reshape(iq, iq.ne[0], heads * each))
    score = g.reshape(score, score.ne[0], heads, each)
    nb = inp.visible.nb[1]
    score = g.add_inplace(score, g.view(inp.visible, (inp.visible.ne[0], 1, each), (4, nb, nb), first * nb))
    nb = inp.bias.nb[1]
    bias = g.view(inp.bias, (inp.count, 1, each), (4, nb, nb), first * nb)
    score = g.add(g.pool_2d(score, inp.size), bias)
    picks = min(int(g.number("attention.indexer.top_k")), inp.count)
    chosen = g.top_k(score, picks)
    closed = g.repeat(g.cast(g.scale(bias), F16), inp.count, heads, each)
    zeros = g.scale(g.cast(chosen, F32))
    opened = g.set_rows(
        g.reshape(closed, 1, inp.count, heads * each),
        g.reshape(zeros, 1, picks, heads * each),
        g.reshape(chosen, picks, heads * each),
    )
    opened = g.cont(g.permute(g.reshape(opened, inp.count, heads, each), 0, 2, 1, 3))
    columns = g.cont(g.transpose(g.reshape(opened, inp.count, each * heads)))
    by_cell = g.get_rows(columns, g.view(inp.block_of, (cells,), None, s * inp.block_of.nb[1]))
    mask = g.reshape(g.cont(g.transpose(by_cell)), cells, each, heads)
    causal = inp.mask
    mask = g.add_inplace(mask, g.view(causal, (cells, each, 1), (4, causal.nb[1], causal.nb[3]), s * causal.nb[3]))
    mask = g.cast(g.reshape(mask, cells, each, 1, heads), F16)
    mask.name = "mask a head"
    k = _heads(g, cache_k, x.head_k, x.n_head_kv, cells, s)
    v = _heads(g, cache_v, x.head_v, x.n_head_kv, cells, s)
    q = g.view(q, (x.head_k, x.n_head, each), q.nb[:3], first * q.nb[2])
    q = g.permute(g.reshape(q, x.head_k, x.n_head // x.n_head_kv, x.n_head_kv, each), 0, 2, 3, 1)
    out = g.flash_attn_ext(q, k, v, mask)
    out.name = "attention"
    out = g.permute(out, 0, 1, 3, 2)
    if not out.contiguous:
        out = g.cont(out)
    return g.reshape(out, x.head_k * x.n_head, each)


def _heads(g: Build, cache: Node, head: int, heads: int, cells: int, s: int) -> Node:
    """A stream of a cache, heads last."""
    dtype = cache.dtype
    rows = g.view(
        cache,
        (head, heads, cells, 1),
        (cache.nb[0], dtype.row_bytes(head), dtype.row_bytes(head * heads), cache.nb[2]),
        s * cache.nb[2],
    )
    return g.permute(rows, 0, 3, 1, 2)
