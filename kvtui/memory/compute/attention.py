"""Attention as src/llama-graph.cpp builds it: inputs, the cache, flash attention or scores."""

from dataclasses import dataclass

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import ATTENDED, F16, F32, I64, Dtype, Node

_ROTATED = 64  # llama-kv-cache.cpp: a quantised cache is rotated where heads are a multiple of this


@dataclass(frozen=True)
class Cache:
    """Inputs of one cache (llm_graph_input_attn_kv, _k; two of them make an _iswa)."""

    cells: int
    k_ids: Node
    v_ids: Node
    mask: Node
    k_rot: Node | None
    v_rot: Node | None


@dataclass(frozen=True)
class Caches:
    """The full cache and the windowed one; equal where a model has only one."""

    full: Cache
    window: Cache


def caches(g: Build, iswa: bool = False, rotated: bool = True) -> Caches:
    """build_attn_inp_kv, or with `iswa` build_attn_inp_kv_iswa. `rotated`: whether quantised caches hold K and V turned."""
    full = _cache(g, g.at.cells, False if iswa else None, rotated)
    return Caches(full, _cache(g, g.at.swa_cells, True, rotated) if iswa else full)


def uncached(g: Build, windows: bool = False) -> tuple[Node, Node]:
    """build_attn_inp_no_cache: the masks of the batch alone, the full one and that of a window."""

    def mask() -> Node:
        return g.input(F16 if g.at.flash else F32, g.tokens, g.tokens, name="KQ mask")

    full = mask()
    return full, mask() if windows else full


def attend_uncached(
    g: Build, masks: tuple[Node, Node], il: int, q: Node, k: Node, v: Node, *, out: bool = True, bias: Node | None = None
) -> Node:
    """build_attn without a cache. `bias`: added to the scores."""
    for part in (q, k, v):
        g.expand(part)
    cur = mha(g, il, q, k, v, masks[1] if g.layer(il).is_swa else masks[0], g.w("attn_sinks", il), bias=bias)
    return project(g, cur, il) if out else cur


def _cache(g: Build, cells: int, swa: bool | None, rotated: bool) -> Cache:
    at = g.at
    mask = g.input(F16 if at.flash else F32, cells, at.tokens // at.streams, 1, at.streams, name="KQ mask")
    v_rows = g.model.n_embd_v_gqa_max if at.transposed else 1
    return Cache(
        cells=cells,
        k_ids=g.input(I64, at.tokens, name="k_idxs"),
        v_ids=g.input(I64, at.tokens * v_rows, name="v_idxs"),
        mask=mask,
        k_rot=_rotation(g, swa, at.type_k, of_k=True) if rotated else None,
        v_rot=_rotation(g, swa, at.type_v, of_k=False) if rotated else None,
    )


def _rotation(g: Build, swa: bool | None, dtype: Dtype, of_k: bool) -> Node | None:
    """The matrix that K or V is turned by before it is quantised (llama_kv_cache's constructor)."""
    layers = [x for x in g.cached_layers if swa in (None, x.is_swa)]
    heads = {x.head_k if of_k else x.head_v for x in layers}
    first = g.layer(0)
    if not dtype.quantized or len(heads) != 1 or 0 in heads or (first.head_k if of_k else first.head_v) % _ROTATED:
        return None
    head = heads.pop()
    side = max(_ROTATED, head & -head) if of_k else _ROTATED  # the largest power of two that divides it
    return g.input(F32, side, side, name="k_rot" if of_k else "v_rot")


def turn(g: Build, cur: Node, matrix: Node) -> Node:
    """llama_mul_mat_hadamard."""
    n = matrix.ne[0]
    flat = (n, cur.elements // n)
    rows = g.reshape(cur, *flat) if cur.contiguous else g.cont(cur, *flat)
    return g.reshape(g.mul_mat(matrix, rows), *cur.ne)


def qkv(
    g: Build, cur: Node, il: int, head: int = 0, n_head: int = 0, n_head_kv: int = 0, *, bare: bool = False
) -> tuple[Node, Node, Node]:
    """build_qkv: from one tensor or three, with biases where the file has them. `bare`: without biases and scales."""
    x = g.layer(il)
    head_k, head_v = head or x.head_k, head or x.head_v
    n_head, n_head_kv = n_head or x.n_head, n_head_kv or x.n_head_kv
    clamped = g.number("attention.clamp_kqv") > 0
    fused = g.w("attn_qkv", il)
    if fused is not None:
        mixed = g.mm(fused, cur) if bare else project(g, cur, il, "attn_qkv")
        if clamped:
            mixed = g.clamp(mixed)
        parts, offset = [], 0
        for values, heads in ((head_k, n_head), (head_k, n_head_kv), (head_v, n_head_kv)):
            row = mixed.dtype.row_bytes(values)
            parts.append(g.view(mixed, (values, heads, g.tokens), (4, row, mixed.nb[1]), offset))
            offset += row * heads
        return parts[0], parts[1], parts[2]
    flat = [g.clamp(x) if clamped else x for x in separate(g, cur, il, bare)]
    counts = (n_head, n_head_kv, n_head_kv)
    q, k, v = (g.reshape(p, p.ne[0] // n, n, g.tokens) for p, n in zip(flat, counts, strict=True))
    return q, k, v


def rows(g: Build, cur: Node, il: int) -> list[Node]:
    """build_qkv without its reshape: Q, K and V as rows of all heads."""
    if g.w("attn_qkv", il) is None:
        return separate(g, cur, il)
    x = g.layer(il)
    mixed, offset, parts = project(g, cur, il, "attn_qkv"), 0, []
    for values in (x.head_k * x.n_head, x.n_embd_k_gqa, x.n_embd_v_gqa):
        parts.append(g.cont(g.view(mixed, (values, g.tokens), mixed.nb[:2], offset)))
        offset += mixed.dtype.row_bytes(values)
    return parts


def separate(g: Build, cur: Node, il: int, bare: bool = False) -> list[Node]:
    """Q, K and V as rows, with their biases."""
    if bare:
        return [g.mm(g.w(role, il), cur) for role in ("attn_q", "attn_k", "attn_v")]
    parts = []
    for role in ("attn_q", "attn_k", "attn_v"):
        part, bias = g.proj(role, il, cur), g.w(role, il, "bias")
        parts.append(g.add(part, bias) if bias is not None else part)
    return parts


def attend(
    g: Build,
    inp: Caches,
    il: int,
    q: Node,
    k: Node | None,
    v: Node | None,
    *,
    out: bool = True,
    source: int | None = None,
    mask: Node | None = None,
    bias: Node | None = None,
) -> Node:
    """build_attn: store K and V, attend, project. `source`: the block whose cache is read, where it is another's;
    `out`: whether the output's projection follows; `mask`: another than the cache's; `bias`: added to the scores."""
    x = g.layer(il)
    c = inp.window if x.is_swa else inp.full
    if c.k_rot is not None:
        q, k = turn(g, q, c.k_rot), turn(g, k, c.k_rot) if k is not None else None
    if c.v_rot is not None and v is not None:
        v = turn(g, v, c.v_rot)
    swa = inp.window is not inp.full
    # build_attn of the windowed caches puts K before V
    for part in (q, k, v) if swa else (q, v, k):
        if part is not None:
            g.expand(part)
    at = g.at
    held = g.layer(il if source is None else source)
    n_k, n_v = held.n_embd_k_gqa, g.model.n_embd_v_gqa_max if at.transposed else held.n_embd_v_gqa
    cache_k = g.cached("k", held.index, at.type_k, n_k, c.cells, at.streams)
    cache_v = g.cached("v", held.index, at.type_v, n_v, c.cells, at.streams)
    if k is not None:
        g.expand(store(g, cache_k, k, c.k_ids, c.cells))
    if v is not None:
        g.expand(_store_transposed(g, cache_v, v, c.v_ids) if at.transposed else store(g, cache_v, v, c.v_ids, c.cells))
    type_k, type_v = at.type_k, at.type_v
    row, rows = type_k.row_bytes(n_k), type_k.row_bytes(n_k * c.cells)
    view_k = g.view(cache_k, (x.head_k, x.n_head_kv, c.cells, at.streams), (cache_k.nb[0], type_k.row_bytes(x.head_k), row, rows))
    if not at.transposed:
        row, rows = type_v.row_bytes(n_v), type_v.row_bytes(n_v * c.cells)
        view_v = g.view(
            cache_v, (x.head_v, x.n_head_kv, c.cells, at.streams), (cache_v.nb[0], type_v.row_bytes(x.head_v), row, rows)
        )
    else:
        column = type_v.row_bytes(c.cells)
        view_v = g.view(
            cache_v, (c.cells, x.n_head_kv, x.head_v, at.streams), (cache_v.nb[0], column * x.head_v, column, column * n_v)
        )
    cur = mha(g, il, q, view_k, view_v, c.mask if mask is None else mask, g.w("attn_sinks", il), bias=bias)
    if c.v_rot is not None:
        cur = turn(g, cur, c.v_rot)
    return project(g, cur, il) if out else cur


def project(g: Build, cur: Node, il: int, role: str = "attn_output") -> Node:
    """The output's projection and its bias."""
    bias = g.w(role, il, "bias")
    if g.w(role, il) is not None:
        cur = g.proj(role, il, cur)
    return g.add(cur, bias) if bias is not None else cur


def store(g: Build, cache: Node, rows: Node, ids: Node, cells: int) -> Node:
    """llama_kv_cache::cpy_k, and cpy_v of a cache that is not transposed."""
    rows = g.view(rows, (rows.ne[0] * rows.ne[1], rows.ne[2]), (rows.nb[0], rows.nb[2]))
    if cache.ne[2] > 1:
        cache = g.reshape(cache, cache.ne[0], cells * cache.ne[2])
    return g.set_rows(cache, rows, ids)


def _store_transposed(g: Build, cache: Node, v: Node, ids: Node) -> Node:
    values, tokens = v.ne[0] * v.ne[1], v.ne[2]
    merged = v.nb[2] == v.dtype.row_bytes(values)
    rows = g.reshape(v, values, tokens) if merged else g.cont(v, values, tokens)
    if values < cache.ne[0]:
        rows = g.pad(rows, cache.ne[0] - values)
    return g.set_rows(g.reshape(cache, 1, cache.elements), g.reshape(rows, 1, rows.elements), ids)


def mha(
    g: Build,
    il: int,
    q: Node,
    k: Node,
    v: Node,
    mask: Node,
    sinks: Node | None = None,
    v_mla: Node | None = None,
    bias: Node | None = None,
) -> Node:
    """build_attn_mha. `bias`: added to the scores, which flash attention cannot do."""
    transposed, streams = v.nb[1] > v.nb[2], k.ne[3]
    ne = q.ne
    each = ne[2] // streams
    q = g.view(q, (ne[0], ne[1], each, streams), (q.nb[0], q.nb[1], q.nb[2], q.nb[2] * each))
    q, k, v = (g.permute(t, 0, 2, 1, 3) for t in (q, k, v))
    if g.at.flash and bias is None:
        if transposed:
            v = g.transpose(v)
        k = g.cast(k, F16) if k.dtype is F32 else k
        v = g.cast(v, F16) if v.dtype is F32 else v
        cur = g.flash_attn_ext(q, k, v, mask, sinks)
        cur.name = "attention"
        if v_mla is not None:
            cur = g.cont(g.permute(g.mul_mat(v_mla, g.permute(cur, 0, 2, 1, 3)), 0, 2, 1, 3))
        cur = g.reshape(cur, cur.ne[0] * cur.ne[1], cur.ne[2] * cur.ne[3])
    else:
        kq = g.mul_mat(k, q)
        kq.name = "KQ scores"
        if g.number("attn_logit_softcapping"):
            kq = g.scale(g.unary("tanh", g.scale(kq)))
        if bias is not None:
            kq = g.add(kq, bias)
        kq = g.soft_max(kq, mask, sinks)
        if not transposed:
            v = g.cont(g.transpose(v))
        cur = g.mul_mat(v, kq)
        if v_mla is not None:
            cur = g.mul_mat(v_mla, cur)
        cur = g.permute(cur, 0, 2, 1, 3)
        cur = g.cont(cur, cur.ne[0] * cur.ne[1], cur.ne[2] * cur.ne[3])
        cur.layer, cur.name = il, ATTENDED
    g.expand(cur)
    return cur
