"""src/models/openelm.cpp: heads of Q, K and V in one row, their number a block's own."""

from kvtui.memory.compute.attention import attend, caches
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense

ARCHITECTURES = ("openelm",)


def graph(g: Build) -> None:
    """llama_model_openelm::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        x, residual = g.layer(il), cur
        cur = g.proj("attn_qkv", il, g.normed(cur, "attn_norm", il))
        cur = g.reshape(cur, x.head_k, x.n_head + 2 * x.n_head_kv, g.tokens)
        parts, start = [], 0
        for heads in (x.n_head, x.n_head_kv, x.n_head_kv):
            parts.append(g.view(cur, (x.head_k, heads, g.tokens), cur.nb[:3], cur.nb[1] * start))
            start += heads
        q, k = (g.rope(g.normed(p, role, il), pos) for p, role in zip(parts, ("attn_q_norm", "attn_k_norm"), strict=False))
        cur = attend(g, inp, il, q, k, parts[2])
        residual, cur = g.outputs_only(il, out_ids, residual, cur)
        inner = g.add(residual, cur)
        cur = g.add(dense(g, g.normed(inner, "ffn_norm", il), il, scales=False), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph)
