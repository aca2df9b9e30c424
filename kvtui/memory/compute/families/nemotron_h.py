"""src/models/nemotron-h.cpp: a block is a scan, attention or a feed-forward network."""

from kvtui.memory.compute.attention import attend, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe, scaled
from kvtui.memory.compute.mamba import mamba2
from kvtui.memory.compute.recurrent import hybrid
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("nemotron_h", "nemotron_h_moe")


def graph(g: Build) -> None:
    """llama_model_nemotron_h::graph."""
    cur = g.inp_embd()
    inp, out_ids = hybrid(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = mamba2(g, inp.states, cur, il)
        elif g.layer(il).has_cache:
            cur = attend(g, inp.caches, il, *qkv(g, cur, il))
        else:
            cur = _ffn(g, cur, il)
        cur, residual = g.outputs_unless_kept(il, out_ids, cur, residual)
        cur = g.add(cur, residual)
    g.finish_late(cur, out_ids)


def _ffn(g: Build, cur: Node, il: int) -> Node:
    """build_ffn_layer: experts may work on fewer values than a row has."""
    if g.w("ffn_gate_inp", il) is None:
        return dense(g, cur, il, "relu_sqr")
    down, up = g.w("ffn_latent_down", il), g.w("ffn_latent_up", il)
    routing = Routing("sigmoid", g.flag("expert_weights_norm"), scaled(g), "relu_sqr")
    out = moe(g, g.mm(down, cur) if down is not None else cur, il, routing, g.mm(g.w("ffn_gate_inp", il), cur))
    if up is not None:
        out = g.mm(up, out)
    return g.add(out, dense(g, cur, il, "relu_sqr", "_shexp"))


FAMILY = Family(ARCHITECTURES, graph)
