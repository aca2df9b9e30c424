"""src/models/hy-v4.cpp: parallel residual streams, gated latent attention over cells that an indexer picks."""

from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.dsa import Indexer, repeats, sparse, top_k, unmasked
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.mla import compressed, k_cache, latent, mla
from kvtui.memory.compute.streams import gates
from kvtui.memory.compute.tape import F32, Node

ARCHITECTURES = ("hy_v4",)


def graph(g: Build) -> None:
    """llama_model_hy_v4::graph."""
    d, streams = latent(g), int(g.number("hyper_connection.count"))
    cur = g.inp_embd()
    pos = g.inp_pos()
    indexer: Indexer | None = None
    if g.number("attention.indexer.top_k"):
        picked = sparse(g)
        inp, indexer = picked.caches, picked.indexer
    else:
        inp = k_cache(g)
    out_ids = g.inp_out_ids()
    x = g.repeat(g.reshape(cur, g.n_embd, 1, g.tokens), g.n_embd, streams, g.tokens)
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g), scales=False)
    chosen: Node | None = None
    for il in g.blocks:
        cur, post = _merged(g, x, "hc_attn", il, streams)
        cur = g.normed(cur, "attn_norm", il)
        low = g.normed(g.mm(g.w("attn_q_a", il), cur), "attn_q_a_norm", il)
        if indexer is not None and (g.layer(il).index_k or chosen is None):
            chosen = top_k(g, indexer, cur, low, pos, il, turned=False)
        q = g.reshape(g.mm(g.w("attn_q_b", il), low), d.head_k, g.layer(il).n_head, g.tokens)
        kv, k_pe = compressed(g, d, cur, il)
        mask = unmasked(g, inp.full.mask, chosen) if chosen is not None else None
        out = mla(g, d, inp, il, q, kv, g.rope(k_pe, pos), pos, mask=mask, out=False)
        out = g.mul(out, g.unary("sigmoid", g.mm(g.w("attn_gate", il), cur)))
        x = _spread(g, g.mm(g.w("attn_output", il), out), x, post, streams)
        cur, post = _merged(g, x, "hc_ffn", il, streams)
        cur = shared_or_dense(g, g.normed(cur, "ffn_norm", il), il, routing)
        x = _spread(g, cur, x, post, streams)
    flat = g.get_rows(g.reshape(x, g.n_embd * streams, g.tokens), out_ids)
    x = g.reshape(flat, g.n_embd, streams, g.at.outputs)
    mixes = g.mm(g.weight("output_hc_fn.weight"), g.rms_norm(g.reshape(x, g.n_embd * streams, g.at.outputs)))
    scale, base = g.weight("output_hc_scale.weight"), g.weight("output_hc_base.weight")
    if scale is None:
        raise MissingTensorError
    if base is None:
        raise MissingTensorError
    g.finish(_reduced(g, x, g.scale(g.unary("sigmoid", g.add(g.mul(mixes, scale), base))), streams))


def _merged(g: Build, x: Node, role: str, il: int, streams: int) -> tuple[Node, Node]:
    """build_hc_pre: the streams' weighted sum, and how much of a block's output each gets."""
    _, _, _, pre, post = gates(g, x, role, il)
    return _reduced(g, x, g.scale(pre), streams), g.scale(g.scale(post))


def _reduced(g: Build, x: Node, weights: Node, streams: int) -> Node:
    """hy_v4_hc_reduce."""
    x, total = g.cast(x, F32), None
    for i in range(streams):
        row = g.view(x, (g.n_embd, x.ne[2]), (4, x.nb[2]), i * x.nb[1])
        part = g.mul(row, g.view(weights, (1, x.ne[2]), weights.nb[:2], i * 4))
        total = part if total is None else g.add(total, part)
    if total is None:
        raise MissingTensorError
    return g.cast(total, F32)


def _spread(g: Build, cur: Node, residual: Node, post: Node, streams: int) -> Node:
    """build_hc_post: every stream and its share of the block's output."""
    cur, post, residual = (g.cast(t, F32) for t in (cur, post, residual))
    tokens, out = cur.ne[1], None
    for i in range(streams):
        row = g.view(residual, (g.n_embd, tokens), (4, residual.nb[2]), i * residual.nb[1])
        part = g.add(row, g.mul(cur, g.view(post, (1, tokens), post.nb[:2], i * 4)))
        part = g.reshape(part, g.n_embd, 1, tokens)
        out = part if out is None else g.concat(out, part, 1)
    if out is None:
        raise MissingTensorError
    return g.cast(out, F32)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
