"""src/models/glm-dsa.cpp, deepseek32.cpp: latent attention over cells that an indexer picks."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.dsa import repeats, sparse, top_k, unmasked
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.mla import compressed, latent, mla
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("glm-dsa", "deepseek32")


def graph(g: Build) -> None:
    """llama_model_glm_dsa::graph, llama_model_deepseek32::graph."""
    d = latent(g)
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), sparse(g), g.inp_out_ids()
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g))
    chosen: Node | None = None
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        low = g.normed(g.mm(g.w("attn_q_a", il), cur), "attn_q_a_norm", il)
        if g.layer(il).index_k or chosen is None:  # glm-dsa: blocks without an indexer read what the one before them did
            chosen = top_k(g, inp.indexer, cur, low, pos, il)
        q = g.reshape(g.mm(g.w("attn_q_b", il), low), d.head_k, g.layer(il).n_head, g.tokens)
        kv, k_pe = compressed(g, d, cur, il)
        mask = unmasked(g, inp.caches.full.mask, chosen)
        cur = mla(g, d, inp.caches, il, q, kv, g.rope(k_pe, pos), pos, mask=mask)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
