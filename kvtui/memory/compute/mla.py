"""Multi-head latent attention: one compressed row of K a token, of which V is a part (src/models/deepseek2.cpp)."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import Cache, Caches, mha, project
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import F16, F32, I64, Node


@dataclass(frozen=True)
class Latent:
    """Values: heads of K and V as they are without compression, the part that rope turns, the compressed row."""

    head_k: int
    head_v: int
    rope: int
    rank: int


def latent(g: Build, of_window: bool = False) -> Latent:
    """From the header (llama-hparams.cpp, n_embd_head_k_mla); `of_window`: of the blocks with a window."""
    end = "_swa" if of_window else ""
    head_k = int(g.number(f"attention.key_length_mla{end}") or g.number("attention.key_length"))
    head_v = int(g.number(f"attention.value_length_mla{end}") or g.number("attention.value_length"))
    return Latent(head_k, head_v, int(g.number("rope.dimension_count")), int(g.number(f"attention.kv_lora_rank{end}")))


def k_cache(g: Build, full: Caches | None = None) -> Caches:
    """build_attn_inp_k: a cache without V, or one of a window beside `full`."""
    at = g.at
    cells = at.cells if full is None else at.swa_cells
    ids = g.input(I64, at.tokens, name="k_idxs")
    mask = g.input(F16 if at.flash else F32, cells, at.tokens // at.streams, 1, at.streams, name="KQ mask")
    cache = Cache(cells, ids, ids, mask, None, None)
    return Caches(cache if full is None else full.full, cache)


def mla(
    g: Build,
    d: Latent,
    inp: Caches,
    il: int,
    q: Node,
    kv: Node,
    k_pe: Node,
    pos: Node | None,
    scale: Node | None = None,
    *,
    mask: Node | None = None,
    out: bool = True,
) -> Node:
    """Attention with W_k taken into Q, over one head of K/V, and W_v after it. `mask`: another than the cache's; `out`:
    whether the output's projection follows."""
    nope, heads = d.head_k - d.rope, g.layer(il).n_head
    q_nope = g.view(q, (nope, heads, g.tokens), q.nb[:3])
    q_pe = g.view(q, (d.rope, heads, g.tokens), q.nb[:3], nope * 4)
    if pos is not None:
        q_pe = g.rope(q_pe, pos)
    absorbed = g.mul_mat(g.need("attn_k_b", il), g.permute(q_nope, 0, 2, 1, 3))
    query = g.concat(g.permute(absorbed, 0, 2, 1, 3), q_pe, 0)
    v = g.reshape(kv, d.rank, 1, g.tokens)
    k = g.concat(v, k_pe, 0)
    if scale is not None:
        query = g.mul(query, scale)
    for part in (query, v, k):
        g.expand(part)
    at, c = g.at, inp.window if g.layer(il).is_swa else inp.full
    n = d.rank + d.rope
    cache = g.cached("k", il, at.type_k, n, c.cells, at.streams)
    rows = g.view(k, (n, g.tokens), (4, k.nb[2]))
    into = g.reshape(cache, n, c.cells * at.streams) if at.streams > 1 else cache
    g.expand(g.set_rows(into, rows, c.k_ids))
    row = at.type_k.row_bytes(n)
    view_k = g.view(cache, (n, 1, c.cells, at.streams), (cache.nb[0], row, row, at.type_k.row_bytes(n * c.cells)))
    view_v = g.view(view_k, (d.rank, 1, c.cells, at.streams), view_k.nb)
    sinks = g.w("attn_sinks", il)
    cur = mha(g, il, query, view_k, view_v, c.mask if mask is None else mask, sinks, v_mla=g.need("attn_v_b", il))
    return project(g, cur, il) if out else cur


def compressed(g: Build, d: Latent, cur: Node, il: int) -> tuple[Node, Node]:
    """The compressed K/V, and K's part that rope turns, before it does."""
    both = g.mm(g.w("attn_kv_a_mqa", il), cur)
    row = both.dtype.row_bytes(d.rank + d.rope)
    kv = g.view(both, (d.rank, g.tokens), (4, row))
    return g.normed(kv, "attn_kv_a_norm", il), g.view(both, (d.rope, 1, g.tokens), (4, row, row), d.rank * 4)
