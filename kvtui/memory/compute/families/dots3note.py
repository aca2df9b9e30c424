"""src/models/dots3note.cpp: latent attention, within a window or over cells that an indexer picks."""

from kvtui.memory.compute.attention import project
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.dsa import repeats, sparse, top_k, unmasked
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.mla import compressed, latent, mla

ARCHITECTURES = ("dots3note",)


def graph(g: Build) -> None:
    """llama_model_dots3note::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), sparse(g, window=True), g.inp_out_ids()
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g))
    for il in g.blocks:
        residual, heads, windowed = cur, g.layer(il).n_head, g.layer(il).is_swa
        d = latent(g, windowed)
        rows = g.normed(cur, "attn_norm", il)
        low = g.normed(g.mm(g.w("attn_q_a", il), rows), "attn_q_a_norm", il)
        chosen = None if windowed else top_k(g, inp.indexer, rows, low, pos, il)
        q = g.reshape(g.mm(g.w("attn_q_b", il), low), d.head_k, heads, g.tokens)
        kv, k_pe = compressed(g, d, rows, il)
        k_pe = g.rope(g.normed(k_pe, "attn_k_norm", il), pos)
        mask = unmasked(g, inp.caches.full.mask, chosen) if chosen is not None else None
        cur = mla(g, d, inp.caches, il, q, kv, k_pe, pos, mask=mask, out=False)
        gate = g.unary("sigmoid", g.proj("attn_gate", il, rows))
        cur = g.mul(g.reshape(cur, d.head_v, heads, g.tokens), g.reshape(gate, 1, heads, g.tokens))
        cur = project(g, g.reshape(cur, d.head_v * heads, g.tokens), il)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
