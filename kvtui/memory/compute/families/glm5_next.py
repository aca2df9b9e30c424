"""src/models/glm5-next.cpp: parallel residual streams around delta nets and latent attention over picked pools of cells."""

from kvtui.memory.compute.attention import mha
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.kda import kda
from kvtui.memory.compute.pools import Pools, in_one, opened, part, pools, stored
from kvtui.memory.compute.recurrent import Hybrid, hybrid_k
from kvtui.memory.compute.streams import mean, mixed, narrowed
from kvtui.memory.compute.tape import F32, I32, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("glm5-next",)


def repeats(_: ModelSpec) -> bool:
    """Not here: every indexer's empty rows are placed before anything else."""
    return False


def graph(g: Build) -> None:
    """llama_model_glm5_next::graph."""
    cur = g.inp_embd()
    inp = hybrid_k(g)
    picked = pools(g, half=in_one(g), ordered=True)
    out_ids = g.inp_out_ids()
    streams = int(g.number("hyper_connection.count"))
    x = g.repeat(g.reshape(cur, g.n_embd, 1, g.tokens), g.n_embd, streams, g.tokens)
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g), scales=False)
    chosen: Node | None = None
    for il in g.blocks:
        cur, post, comb = mixed(g, x, "hc_attn", il)
        cur = g.normed(cur, "attn_norm", il)
        g.expand(cur)
        if g.layer(il).is_recurrent:
            cur = kda(g, inp.states, cur, il)
        else:
            low = g.normed(g.mm(g.w("attn_q_a", il), cur), "attn_q_a_norm", il)
            if g.layer(il).index_k or chosen is None:
                chosen = _selected(g, picked, cur, low, inp.caches.full.mask, il)
            cur = _attention(g, inp, cur, low, chosen, il)
        x = g.hc_post(cur, x, post, comb)
        cur, post, comb = mixed(g, x, "hc_ffn", il)
        cur = shared_or_dense(g, g.normed(cur, "ffn_norm", il), il, routing)
        x = g.hc_post(cur, x, post, comb)
    g.finish(mean(g, narrowed(g, x, out_ids)))


def _attention(g: Build, inp: Hybrid, cur: Node, low: Node, chosen: Node, il: int) -> Node:
    """build_dsa_layer, with the selection as a mask."""
    at, c, heads = g.at, inp.caches.full, g.layer(il).n_head
    rank = int(g.number("attention.kv_lora_rank"))
    q = g.mm(g.w("attn_q_b", il), low)
    q = g.reshape(q, q.ne[0] // heads, heads, g.tokens)
    q = g.permute(g.mul_mat(g.need("attn_k_b", il), g.permute(q, 0, 2, 1, 3)), 0, 2, 1, 3)
    kv = g.reshape(g.normed(g.mm(g.w("attn_kv_a_mqa", il), cur), "attn_kv_a_norm", il), rank, 1, g.tokens)
    g.expand(q)
    g.expand(kv)
    cache = g.cached("k", il, at.type_k, rank, c.cells, at.streams)
    into = g.reshape(cache, rank, c.cells * at.streams) if at.streams > 1 else cache
    g.expand(g.set_rows(into, g.view(kv, (rank, g.tokens), (4, kv.nb[2])), c.k_ids))
    row = at.type_k.row_bytes(rank)
    k = g.view(cache, (rank, 1, c.cells, at.streams), (cache.nb[0], row, row, at.type_k.row_bytes(rank * c.cells)))
    v = g.view(k, k.ne, k.nb)
    return g.mm(g.w("attn_output", il), mha(g, il, q, k, v, g.reshape(chosen, *c.mask.ne), v_mla=g.need("attn_v_b", il)))


def _selected(g: Build, inp: Pools, cur: Node, low: Node, kq_mask: Node, il: int) -> Node:
    """build_kpool_select."""
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    tokens = g.tokens
    q = g.reshape(g.mm(g.w("indexer.attn_q_b", il), low), values, heads, tokens)
    key = g.normed(g.mm(g.w("indexer.attn_k", il), cur), "indexer.k_norm", il, "norm")
    gate = g.mm(g.w("indexer_compressor_gate", il), cur)
    empty = g.fill(g.new(F32, values, tokens))
    packed = g.reshape(g.concat(g.concat(key, gate, 0), empty, 0), 3 * values, 1, tokens)
    cache = stored(g, inp, packed, values, il)
    pooled = _pooled(g, inp, cache, values, il)
    weights = g.scale(g.mm(g.w("indexer.proj", il), cur))
    if in_one(g):
        score = g.lightning_indexer(q, pooled, weights, inp.mask)
    else:
        score = g.mul_mat(g.permute(pooled, 0, 2, 1, 3), g.permute(q, 0, 2, 1, 3))
        score = g.mul(g.unary("relu", g.cont(g.permute(score, 2, 1, 0, 3))), weights)
        score = g.add(g.cont(g.permute(g.sum_rows(score), 2, 1, 0, 3)), inp.mask)
    best = min(inp.count, int(g.number("attention.indexer.top_k")) // inp.cells)
    top = g.top_k(score, best)
    order = g.argsort(g.reshape(g.get_rows(g.reshape(score, 1, inp.count, tokens), top), best, tokens))
    top = g.get_rows(g.reshape(g.cast(top, F32), 1, best, tokens), order)
    top = g.cast(g.cont(g.reshape(top, best, tokens)), I32)
    chosen = g.reshape(g.get_rows(inp.members, g.reshape(top, best * tokens)), inp.cells * best, tokens)
    if inp.picked > inp.cells * best:
        chosen = g.concat(chosen, inp.tail, 0)
    g.expand(chosen)
    assert inp.live is not None
    live = g.unary("exp", g.reshape(inp.live, inp.picked, tokens))
    cells = kq_mask.ne[0]
    found = opened(g, inp, kq_mask, chosen, live, g.arange(inp.picked))
    return g.add(g.view(found, (cells, tokens), (found.nb[0], found.nb[2])), g.reshape(kq_mask, cells, tokens))


def _pooled(g: Build, inp: Pools, cache: Node, values: int, il: int) -> Node:
    """A key of every pool: those of new pools are computed and stored, then all are read."""
    rows = g.get_rows(part(g, cache, 2 * values, 0), g.reshape(inp.new_members, inp.cells * inp.new))
    rows = g.reshape(rows, 2 * values, inp.cells, inp.new)
    keys, gates = (g.view(rows, (values, inp.cells, inp.new), rows.nb[:3], i * values * 4) for i in (0, 1))
    logits = g.cont(g.permute(g.add(gates, g.need("indexer_compressor_ape", il)), 1, 0, 2, 3))
    probs = g.soft_max(g.reshape(logits, inp.cells, values * inp.new))
    probs = g.reshape(probs, inp.cells, values, inp.new)
    keys = g.cont(g.permute(keys, 1, 0, 2, 3))
    new = g.reshape(g.sum_rows(g.mul(probs, keys)), values, inp.new)
    held = part(g, cache, values, 2 * values)
    g.expand(g.set_rows(held, new, inp.new_cells))
    return g.reshape(g.get_rows(held, inp.key_cells), values, 1, inp.count)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
