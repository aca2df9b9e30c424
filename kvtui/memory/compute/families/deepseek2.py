"""src/models/deepseek2.cpp: multi-head latent attention."""

from kvtui.memory.compute.attention import attend, caches
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.mla import Latent, compressed, k_cache, latent, mla
from kvtui.memory.compute.mtp import finish_draft, joined
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("deepseek2", "mistral4")


def graph(g: Build) -> None:
    """llama_model_deepseek2::graph."""
    d, routing = latent(g), _routing(g)
    cur = g.inp_embd()
    scale = g.inp_attn_scale() if g.number("attention.temperature_scale") else None
    pos = g.inp_pos()
    inp, out_ids = (k_cache(g) if g.model.is_mla else caches(g)), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        q, kv, k_pe = _projected(g, d, cur, pos, il)
        if g.model.is_mla:
            cur = mla(g, d, inp, il, q, kv, k_pe, pos, scale)
        else:
            parts = g.mm(g.w("attn_kv_b", il), kv)
            heads, nope = g.layer(il).n_head, d.head_k - d.rope
            row = parts.dtype.row_bytes(nope + d.head_v)
            nb = (4, row, row * heads)
            k = g.view(parts, (nope, heads, g.tokens), nb)
            v = g.cont(g.view(parts, (d.head_v, heads, g.tokens), nb, nope * 4))
            q = g.rope(q, pos)
            k = g.concat(k, g.repeat(k_pe, d.rope, heads, g.tokens), 0)
            cur = attend(g, inp, il, g.mul(q, scale) if scale is not None else q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    g.finish(cur)


def mtp_graph(g: Build) -> None:
    """llama_model_deepseek2::graph_mtp."""
    il, d = g.blocks[0], latent(g)
    cur = residual = joined(g, il)
    pos, out_ids, inp = g.inp_pos(), g.inp_out_ids(), k_cache(g)
    q, kv, k_pe = _projected(g, d, g.normed(cur, "attn_norm", il), pos, il)
    inner = g.add(mla(g, d, inp, il, q, kv, k_pe, pos), residual)
    cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, _routing(g)), inner)
    finish_draft(g, cur, il, out_ids)


def _routing(g: Build) -> Routing:
    return Routing(
        gating=gating(g, "softmax"),
        norm=g.flag("expert_weights_norm"),
        scaled=scaled(g),
        exact=g.model.architecture == "mistral4",
        scales=False,
    )


def _projected(g: Build, d: Latent, cur: Node, pos: Node, il: int) -> tuple[Node, Node, Node]:
    """Q, the compressed K/V, and K's part that rope turns."""
    low = g.w("attn_q_a", il)
    if low is not None:
        q = g.mm(g.w("attn_q_b", il), g.normed(g.mm(low, cur), "attn_q_a_norm", il))
    else:
        q = g.mm(g.w("attn_q", il), cur)
    q = g.reshape(q, d.head_k, g.layer(il).n_head, g.tokens)
    kv, k_pe = compressed(g, d, cur, il)
    return q, kv, g.rope(k_pe, pos)


FAMILY = Family(ARCHITECTURES, graph, mtp_graph=mtp_graph)
