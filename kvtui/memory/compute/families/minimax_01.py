"""src/models/minimax-01.cpp: lightning attention (a decaying state a head), and attention every few blocks."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import attend, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, moe, scaled
from kvtui.memory.compute.recurrent import States, build_rs, hybrid, state
from kvtui.memory.compute.tape import F32, Node

ARCHITECTURES = ("minimax-01",)
ALONE = ("minimax-01",)  # the decay between tokens grows with a slot's batch squared


@dataclass(frozen=True)
class _Decays:
    """llm_graph_input_la."""

    slopes: Node
    q: Node
    k: Node
    diagonal: Node


def graph(g: Build) -> None:
    """llama_model_minimax_01::graph."""
    cur = g.inp_embd()
    inp, pos, out_ids = hybrid(g), g.inp_pos(), g.inp_out_ids()
    seqs, heads = g.at.seqs, g.layer(0).n_head
    each = g.tokens // seqs
    decays = _Decays(
        g.input(F32, heads, name="slopes"),
        g.input(F32, 1, heads, each, seqs, name="decay of Q"),
        g.input(F32, 1, heads, each, seqs, name="decay of K"),
        g.input(F32, each, each, heads, seqs, name="decay between tokens"),
    )
    routing = Routing(scaled=scaled(g), scales=False)
    for il in g.blocks:
        cur = residual = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = _lightning(g, inp.states, decays, cur, il)
        else:
            q, k, v = qkv(g, cur, il)
            cur = attend(g, inp.caches, il, g.rope(q, pos), g.rope(k, pos), v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(cur, g.scale(residual))
        cur = g.normed(inner, "ffn_norm", il)
        cur = g.add(moe(g, cur, il, routing), g.scale(cur))
    g.finish(cur)


def _lightning(g: Build, inp: States, decays: _Decays, cur: Node, il: int) -> Node:
    head, heads, seqs = g.layer(il).head_k, g.layer(il).n_head, g.at.seqs
    each = g.tokens // seqs
    r = state(g, "r", il, 0, inp.rows)
    g.expand(build_rs(g, inp, r))
    cur = g.reshape(cur, cur.ne[0], each, 1, seqs)
    mixed = g.reshape(g.unary("silu", g.mm(g.w("attn_qkv", il), cur)), 3 * head, heads, each, seqs)
    q, k, v = (g.view(mixed, (head, heads, each, seqs), mixed.nb, i * head * 4) for i in range(3))
    s = state(g, "s", il, head * head * heads, inp.rows)
    old = g.reshape(build_rs(g, inp, s), head, head, heads, seqs)
    q_decay, k_decay, diagonal = (g.unary("exp", g.scale(d)) for d in (decays.q, decays.k, decays.diagonal))
    before = g.mul_mat(old, g.permute(g.mul(q, q_decay), 0, 2, 1, 3))
    scores = g.mul(g.mul_mat(g.permute(k, 0, 2, 1, 3), g.permute(q, 0, 2, 1, 3)), diagonal)
    scores.name = "scores of a batch"
    v_t = g.cont(g.permute(v, 1, 2, 0, 3))
    out = g.add(before, g.mul_mat(v_t, scores))
    g.expand(out)
    kept = g.mul(old, g.reshape(g.unary("exp", g.scale(g.scale(decays.slopes))), 1, 1, heads))
    k_t = g.cont(g.permute(g.mul(k, k_decay), 1, 2, 0, 3))
    new = g.add(kept, g.mul_mat(k_t, v_t))
    g.expand(g.cpy(new, g.view(s, (head * head * heads * seqs,))))
    out = g.cont(g.permute(out, 0, 2, 1, 3))
    out = g.normed(g.reshape(out, head * heads, each, 1, seqs), "attn_norm_2", il)
    gate = g.unary("sigmoid", g.mm(g.w("attn_gate", il), cur))
    cur = g.mm(g.w("attn_output", il), g.mul(gate, out))
    return g.reshape(cur, cur.ne[0], each * seqs)


FAMILY = Family(ARCHITECTURES, graph, alone=ALONE)
