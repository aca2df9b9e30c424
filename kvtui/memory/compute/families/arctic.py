"""src/models/arctic.cpp: a dense network after attention, and experts that read what the block was given."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe

ARCHITECTURES = ("arctic",)


def graph(g: Build) -> None:
    """llama_model_arctic::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    routing = Routing(scales=False)
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, g.normed(cur, "attn_norm", il), il)
        cur = attend(g, inp, il, g.rope(q, pos), g.rope(k, pos), v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        out = g.add(dense(g, g.normed(inner, "ffn_norm", il), il, scales=False), inner)
        cur = g.add(moe(g, g.normed(residual, "ffn_norm_exps", il), il, routing), out)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph)
