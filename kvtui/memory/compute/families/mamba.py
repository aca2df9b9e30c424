"""src/models/mamba.cpp, mamba2.cpp, jamba.cpp, falcon-h1.cpp, plamo2.cpp: scans alone, or attention with them."""

from kvtui.memory.compute.attention import attend, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import turned
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, halves, scaled, shared_or_dense
from kvtui.memory.compute.mamba import mamba, mamba2, plamo_mamba
from kvtui.memory.compute.recurrent import hybrid, states

ARCHITECTURES = ("mamba", "mamba2", "jamba", "falcon-h1", "plamo2")
TURNS = 4  # a scan's block is so short that holes of the one before it are filled a turn later


def graph(g: Build) -> None:
    """The graph of the architecture."""
    {"jamba": _jamba, "falcon-h1": _falcon_h1, "plamo2": _plamo2}.get(g.model.architecture, _mamba)(g)


def _mamba(g: Build) -> None:
    """llama_model_mamba::graph, llama_model_mamba2::graph."""
    block = mamba2 if g.model.architecture == "mamba2" else mamba
    cur = g.inp_embd()
    inp, out_ids = states(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = block(g, inp, g.normed(cur, "attn_norm", il), il)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        cur = g.add(cur, residual)
    g.finish(cur)


def _jamba(g: Build) -> None:
    """llama_model_jamba::graph."""
    cur = g.inp_embd()
    inp, out_ids = hybrid(g), g.inp_out_ids()
    routing = Routing(norm=False, scaled=scaled(g), scales=False)
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = mamba(g, inp.states, cur, il)
        else:
            cur = attend(g, inp.caches, il, *qkv(g, cur, il))
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(residual, cur)
        cur = g.add(inner, shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing))
    g.finish(cur)


def _falcon_h1(g: Build) -> None:
    """llama_model_falcon_h1::graph: attention and a scan over the same rows, added up."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), hybrid(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, g.normed(cur, "attn_norm", il), il)
        attended = attend(g, inp.caches, il, g.rope(q, pos), g.rope(k, pos), v)
        scanned = mamba2(g, inp.states, g.normed(residual, "attn_norm", il), il)
        inner = g.add(g.add(attended, scanned), residual)
        (inner,) = g.outputs_only(il, out_ids, inner)
        cur = g.add(dense(g, g.normed(inner, "ffn_norm", il), il), inner)
    g.finish(cur)


def _plamo2(g: Build) -> None:
    """llama_model_plamo2::graph."""
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), hybrid(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = plamo_mamba(g, inp.states, cur, il)
        else:
            q, k, v = qkv(g, cur, il)
            q, k = turned(g, q, "attn_q_norm", il, pos), turned(g, k, "attn_k_norm", il, pos)
            cur = attend(g, inp.caches, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(g.build_norm(cur, g.w("post_attention_norm", il, ""), il), residual)
        cur = halves(g, g.normed(inner, "ffn_norm", il), il)
        cur = g.add(g.build_norm(cur, g.w("post_ffw_norm", il, ""), il), inner)
    g.finish(cur)


FAMILY = Family(ARCHITECTURES, graph, turns=TURNS)
