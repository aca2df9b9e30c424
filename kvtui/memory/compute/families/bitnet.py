"""src/models/bitnet.cpp: norms inside attention and inside the network."""

from kvtui.memory.compute.attention import attend, caches, project, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family

ARCHITECTURES = ("bitnet",)


def graph(g: Build) -> None:
    """llama_model_bitnet::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, g.normed(cur, "attn_norm", il), il)
        cur = attend(g, inp, il, g.rope(q, pos), g.rope(k, pos), v, out=False)
        cur = project(g, g.normed(cur, "attn_sub_norm", il), il)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.normed(inner, "ffn_norm", il)
        up = g.proj("ffn_up", il, cur)
        cur = g.glu(g.proj("ffn_gate", il, cur), up)
        cur = g.add(g.proj("ffn_down", il, g.normed(cur, "ffn_sub_norm", il)), inner)
    cur = g.build_norm(cur, g.weight("output_norm.weight"), -1)
    cur.name, cur.output = "result_norm", True
    cur = g.mm(g.weight("token_embd.weight"), cur)  # the embeddings themselves, not a copy of them
    cur.name, cur.output = "result_output", True
    g.expand(cur)


FAMILY = Family(ARCHITECTURES, graph)
