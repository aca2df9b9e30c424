"""src/models/deci.cpp: blocks without attention, with a projection in its place, or without a network."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense

ARCHITECTURES = ("deci",)


def graph(g: Build) -> None:
    """llama_model_deci::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        x, residual = g.layer(il), cur
        if x.n_head > 0:
            cur = g.normed(cur, "attn_norm", il)
            if x.n_head_kv == 0:
                cur = g.mm(g.w("attn_output", il), cur)
            else:
                factors = g.rope_factors(il)
                q, k, v = qkv(g, cur, il)
                cur = attend(g, inp, il, g.rope(q, pos, factors), g.rope(k, pos, factors), v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        if x.n_ff == 0:
            cur = residual  # what attention gave is dropped
            continue
        inner = g.add(cur, residual) if x.n_head > 0 else cur
        cur = g.add(dense(g, g.normed(inner, "ffn_norm", il), il, scales=False), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph)
