"""src/models/talkie.cpp: bare norms, and the embeddings added again behind every block."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense

ARCHITECTURES = ("talkie",)


def graph(g: Build) -> None:
    """llama_model_talkie::graph."""
    cur = skip = g.rms_norm(g.inp_embd())
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, g.rms_norm(cur), il)
        q, k = g.normed(g.rope(q, pos), "attn_q_norm", il), g.rms_norm(g.rope(k, pos))
        cur = attend(g, inp, il, q, k, v)
        cur, residual, again = g.outputs_only(il, out_ids, cur, residual, skip)
        inner = g.add(cur, residual)
        cur = g.add(dense(g, g.rms_norm(inner), il), inner)
        cur = g.add(cur, g.mul(again, g.need("layer_output_scale", il)))
    cur = g.rms_norm(cur)
    cur.name, cur.output = "result_norm", True
    g.head(cur, scaled=1)


FAMILY = Family(ARCHITECTURES, graph)
