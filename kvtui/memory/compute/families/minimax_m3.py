"""src/models/minimax-m3.cpp: attention over blocks of cells that an indexer picks."""

from kvtui.memory.compute.attention import Caches, attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import turned
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.msa import attend_blocks, blocks, enabled

ARCHITECTURES = ("minimax-m3",)


def graph(g: Build) -> None:
    """llama_model_minimax_m3::graph."""
    cur = g.inp_embd()
    pos = g.inp_pos()
    picked = blocks(g) if enabled(g) else None
    inp = Caches(picked.cache, picked.cache) if picked is not None else caches(g)
    out_ids = g.inp_out_ids()
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g), "swiglu_oai", scales=False)
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        q, k, v = qkv(g, cur, il)
        q, k = turned(g, q, "attn_q_norm", il, pos), turned(g, k, "attn_k_norm", il, pos)
        if picked is not None and il >= g.number("leading_dense_block_count"):
            cur = attend_blocks(g, picked, cur, q, k, v, pos, il)
        else:
            cur = attend(g, inp, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph)
