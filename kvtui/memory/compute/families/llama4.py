"""src/models/llama4.cpp."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import NO_ROPE_STEP, Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, scaled, shared_or_dense

ARCHITECTURES = ("llama4",)
STEPPED = ("llama4",)


def graph(g: Build) -> None:
    """llama_model_llama4::graph."""
    cur = g.inp_embd()
    pos, scale = g.inp_pos(), g.inp_attn_scale()
    inp, out_ids = caches(g, iswa=g.model.n_swa > 0), g.inp_out_ids()
    step = _no_rope_step(g)
    normed = _normed_qk(g)
    routing = Routing(gating="sigmoid", norm=False, scaled=scaled(g), scales=False, before=True, by_logits=True)
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, g.normed(cur, "attn_norm", il), il)
        if (il + 1) % step != 0:
            factors = g.rope_factors(il)
            q, k = g.rope(q, pos, factors), g.rope(k, pos, factors)
            if normed:
                q, k = g.rms_norm(q), g.rms_norm(k)
        else:
            q = g.mul(q, scale)
        cur, residual = g.outputs_only(il, out_ids, attend(g, inp, il, q, k, v), residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    g.finish(cur)


def _no_rope_step(g: Build) -> int:
    """n_no_rope_layer_step: every fourth block goes without rope, none where the window is said to be none."""
    windowless = g.model.header.metadata.get(f"{g.model.architecture}.attention.sliding_window") == 0
    return g.model.n_layer if windowless else NO_ROPE_STEP


def _normed_qk(g: Build) -> bool:
    """use_kq_norm: not with 128 experts (LLM_TYPE_17B_128E)."""
    return g.model.n_expert != 128


FAMILY = Family(ARCHITECTURES, graph, stepped=STEPPED)
