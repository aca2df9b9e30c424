"""src/models/bert.cpp as nomic-bert-moe runs it: norms after what they add, experts in every other block, no logits."""

from kvtui.memory.compute.attention import attend_uncached, qkv, uncached
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe

ARCHITECTURES = ("nomic-bert-moe",)


def graph(g: Build) -> None:
    """llama_model_bert::graph."""
    pos = g.inp_pos()
    cur = g.inp_embd()
    types = g.weight("token_types.weight")
    if types is not None:
        cur = g.add(cur, g.view(types, (int(g.n_embd),)))
    cur = g.build_norm(cur, g.weight("token_embd_norm.weight"), 0, g.weight("token_embd_norm.bias"), "layer")
    masks, out_ids = uncached(g), g.inp_out_ids()
    routing = Routing(norm=False, act="gelu", scales=False)
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, cur, il)
        cur = attend_uncached(g, masks, il, g.rope(q, pos), g.rope(k, pos), v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.normed(g.add(cur, residual), "attn_output_norm", il, "layer")
        routed = g.w("ffn_gate_inp", il) is not None
        cur = moe(g, inner, il, routing) if routed else dense(g, inner, il, "gelu", scales=False)
        cur = g.normed(g.add(cur, inner), "layer_output_norm", il, "layer")
    cur.name, cur.output = "result_embd", True
    g.expand(cur)


FAMILY = Family(ARCHITECTURES, graph)
