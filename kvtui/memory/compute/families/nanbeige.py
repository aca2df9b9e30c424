"""src/models/nanbeige.cpp: the file's blocks several times over, each turn with caches of its own."""

from kvtui.memory.compute.attention import attend, caches, project, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("nanbeige",)


def repeats(model: ModelSpec) -> bool:
    """Not where a block's weights are on another device than its cache may be."""
    return _in_file(model) == model.n_layer


def graph(g: Build) -> None:
    """llama_model_nanbeige::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids, in_file = g.inp_pos(), caches(g), g.inp_out_ids(), _in_file(g.model)
    normed_turns = not g.flag("skip_loop_final_norm")
    for il in g.blocks:
        block, residual = il % in_file, cur  # whose weights are taken
        q, k, v = qkv(g, g.build_norm(cur, g.w("attn_norm", block), il), block)
        factors = g.rope_factors(il)
        cur = attend(g, inp, il, g.rope(q, pos, factors), g.rope(k, pos, factors), v, out=False)
        cur, residual = g.outputs_only(il, out_ids, project(g, cur, block), residual)
        inner = g.add(cur, residual)
        cur = g.add(dense(g, g.build_norm(inner, g.w("ffn_norm", block), il), block, "silu"), inner)
        if normed_turns and block == in_file - 1 and not g.last(il):
            cur = g.build_norm(cur, g.weight("output_norm.weight"), il)
    g.finish(cur)


def _in_file(model: ModelSpec) -> int:
    return 1 + max(t.block for t in model.tensors if t.block is not None)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
