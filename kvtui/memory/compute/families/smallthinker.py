"""src/models/smallthinker.cpp: the router reads what attention reads, before its norm."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import NO_ROPE_STEP, Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, moe

ARCHITECTURES = ("smallthinker",)
STEPPED = ("smallthinker",)


def graph(g: Build) -> None:
    """llama_model_smallthinker::graph."""
    windows = g.model.n_swa > 0
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g, windows), g.inp_out_ids()
    routing = Routing(gating=gating(g, "softmax"), act="relu", scales=False)
    for il in g.blocks:
        residual = cur
        logits = g.mm(g.w("ffn_gate_inp", il), cur)
        q, k, v = qkv(g, g.normed(cur, "attn_norm", il), il)
        if not windows or il % NO_ROPE_STEP:
            q, k = g.rope(q, pos), g.rope(k, pos)
        cur = attend(g, inp, il, q, k, v)
        cur, residual, logits = g.outputs_only(il, out_ids, cur, residual, logits)
        inner = g.add(cur, residual)
        cur = g.add(moe(g, g.normed(inner, "ffn_norm", il), il, routing, logits), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph, stepped=STEPPED)
