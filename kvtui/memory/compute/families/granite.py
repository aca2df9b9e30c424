"""src/models/granite.cpp, granite-hybrid.cpp."""

from kvtui.memory.compute.attention import attend, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, scaled, shared_or_dense
from kvtui.memory.compute.mamba import mamba2
from kvtui.memory.compute.recurrent import hybrid

ARCHITECTURES = ("granitehybrid",)


def graph(g: Build) -> None:
    """llama_model_granite_hybrid::graph."""
    cur = g.inp_embd()
    if g.number("embedding_scale"):
        cur = g.scale(cur)
        g.expand(cur)
    inp, out_ids = hybrid(g), g.inp_out_ids()
    roped = bool(g.model.header.metadata.get(f"{g.model.architecture}.rope.scaling.finetuned", True))
    pos = g.inp_pos() if roped else None
    residual_scale = bool(g.number("residual_scale"))
    routing = Routing(scaled=scaled(g), scales=False)
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = mamba2(g, inp.states, cur, il)
        else:
            q, k, v = qkv(g, cur, il)
            if pos is not None:
                factors = g.rope_factors(il)
                q, k = g.rope(q, pos, factors), g.rope(k, pos, factors)
            cur = attend(g, inp.caches, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        if residual_scale:
            cur = g.scale(cur)
        inner = g.add(cur, residual)
        cur = shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing)
        if residual_scale:
            cur = g.scale(cur)
        cur = g.add(cur, inner)
    g.finish(cur, scaled=int(g.number("logit_scale") != 0))


FAMILY = Family(ARCHITECTURES, graph)
