"""src/models/qwen35.cpp, qwen35moe.cpp, qwen3next.cpp: delta nets, and gated attention every few blocks."""

from kvtui.memory.compute.attention import Caches, attend, caches, project, separate
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.delta import delta_net
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe, scaled
from kvtui.memory.compute.mtp import finish_draft, joined
from kvtui.memory.compute.recurrent import hybrid
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("qwen35", "qwen35moe", "qwen3next")
_SECTIONS = {"qwen35": 4, "qwen35moe": 4}  # positions a token where rope is in sections


def graph(g: Build) -> None:
    """llama_model_qwen35::graph."""
    cur = g.inp_embd()
    inp, pos, out_ids = hybrid(g), g.inp_pos(_SECTIONS.get(g.model.architecture, 1)), g.inp_out_ids()
    routing = Routing(scaled=scaled(g))
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        g.expand(cur)
        cur = delta_net(g, inp.states, cur, il) if g.layer(il).is_recurrent else _attention(g, inp.caches, cur, pos, il)
        cur, residual = g.outputs_unless_kept(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(gated_ffn(g, g.normed(inner, "post_attention_norm", il), il, routing), inner)
    g.finish_late(cur, out_ids)


def mtp_graph(g: Build) -> None:
    """llama_model_qwen35::graph_mtp; Qwen3-Next drops rows that nobody asked for before the network."""
    il = g.blocks[0]
    cur = residual = joined(g, il)
    pos, out_ids, inp = g.inp_pos(_SECTIONS.get(g.model.architecture, 1)), g.inp_out_ids(), caches(g)
    cur = _attention(g, inp, g.normed(cur, "attn_norm", il), pos, il)
    picked = g.model.architecture == "qwen3next"
    if picked:
        cur, residual = g.get_rows(cur, out_ids), g.get_rows(residual, out_ids)
    inner = g.add(cur, residual)
    routing = Routing(scaled=scaled(g))
    cur = g.add(gated_ffn(g, g.normed(inner, "post_attention_norm", il), il, routing), inner)
    finish_draft(g, cur, il, None if picked else out_ids)


def _attention(g: Build, inp: Caches, cur: Node, pos: Node, il: int) -> Node:
    """build_layer_attn: Q and its gate come from one projection."""
    x = g.layer(il)
    full, k, v = separate(g, cur, il)
    row = x.head_k * 4
    q, gate = (g.view(full, (x.head_k, x.n_head, g.tokens), (4, 2 * row, 2 * row * x.n_head), i * row) for i in (0, 1))
    q = g.normed(q, "attn_q_norm", il)
    k = g.normed(g.reshape(k, x.head_k, x.n_head_kv, g.tokens), "attn_k_norm", il)
    gate = g.cont(gate, x.head_k * x.n_head, g.tokens)
    v = g.reshape(v, x.head_v, x.n_head_kv, g.tokens)
    cur = attend(g, inp, il, g.rope(q, pos), g.rope(k, pos), v, out=False)
    return project(g, g.mul(cur, g.unary("sigmoid", gate)), il)


def gated_ffn(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """build_layer_ffn: shared experts are gated by a number a token."""
    if g.w("ffn_gate_inp", il) is None:
        return dense(g, cur, il)
    out = moe(g, cur, il, routing)
    if g.w("ffn_up_shexp", il) is None:
        return out
    shared = dense(g, cur, il, "silu", "_shexp")
    return g.add(out, g.mul(shared, g.unary("sigmoid", g.proj("ffn_gate_inp_shexp", il, cur))))


FAMILY = Family(ARCHITECTURES, graph, mtp_graph=mtp_graph)
