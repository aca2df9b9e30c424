"""src/models/cohere2moe.cpp: attention and experts side by side, both fed with the block's one norm."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense

ARCHITECTURES = ("cohere2moe",)


def graph(g: Build) -> None:
    """llama_model_cohere2moe::graph."""
    kind = "rms" if g.number("attention.layer_norm_rms_epsilon") else "layer"
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g, iswa=True), g.inp_out_ids()
    routing = Routing(gating=gating(g, "sigmoid"), norm=g.flag("expert_weights_norm"), scaled=scaled(g))
    dense_blocks = int(g.number("leading_dense_block_count"))
    for il in g.blocks:
        normed = g.normed(cur, "attn_norm", il, kind)
        q, k, v = qkv(g, normed, il)
        if g.layer(il).is_swa or il < dense_blocks:
            factors = g.rope_factors(il)
            q, k = g.rope(q, pos, factors), g.rope(k, pos, factors)
        attended = attend(g, inp, il, q, k, v)
        attended, cur, normed = g.outputs_unless_kept(il, out_ids, attended, cur, normed)
        out = shared_or_dense(g, normed, il, routing)
        if g.w("ffn_gate_inp", il) is not None and g.w("ffn_up_shexp", il) is not None:
            out = g.scale(out)
        cur = g.add(g.add(out, cur), attended)
    g.finish(cur, kind, int(g.number("logit_scale") != 0), out_ids=out_ids)


FAMILY = Family(ARCHITECTURES, graph)
