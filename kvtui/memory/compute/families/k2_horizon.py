"""src/models/k2-horizon.cpp (b11549): norms over groups, a gated output of attention, and values that are chosen among
experts of their own (MoVA)."""

from kvtui.memory.compute.attention import attend, caches, project
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense, summed
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("k2-horizon",)


def graph(g: Build) -> None:
    """llama_model_k2_horizon::graph."""
    cur = g.inp_embd()
    pos = g.inp_pos()
    inp = caches(g)
    out_ids = g.inp_out_ids()
    routing = Routing(gating(g, "sigmoid"), g.flag("expert_weights_norm"), scaled(g), scales=False)
    for il in g.blocks:
        residual = cur
        normed = _group_norm(g, cur, g.w("attn_norm", il))
        gate = g.w("attn_gate", il)
        out = attend(g, inp, il, *_heads(g, normed, il, pos, routing), out=gate is None)
        if gate is not None:
            opened = g.scale(g.unary("softplus", g.scale(g.mm(gate, normed))))
            out = project(g, g.mul(out, opened), il)
        out, residual = g.outputs_only(il, out_ids, out, residual)
        inner = g.add(out, residual)
        cur = g.add(shared_or_dense(g, _group_norm(g, inner, g.w("ffn_norm", il)), il, routing), inner)
        cur.name = f"l_out-{il}"
    cur = _group_norm(g, cur, g.weight("output_norm.weight"))
    cur.name, cur.output = "result_norm", True
    g.head(cur)


def _group_norm(g: Build, cur: Node, w: Node | None) -> Node:
    """k2_horizon_group_rms_norm: it goes through no build_norm, and so to no device of its own."""
    n_embd, tokens = cur.ne[:2]
    groups = max(int(g.number("attention.group_norm_groups")), 1)
    cur = g.reshape(g.rms_norm(g.reshape(cur, n_embd // groups, groups, tokens)), n_embd, tokens)
    return g.mul(cur, w) if w is not None else cur


def _heads(g: Build, cur: Node, il: int, pos: Node, routing: Routing) -> tuple[Node, Node, Node]:
    """Q, K and V of all heads; each head's norm has weights of its own."""
    x = g.layer(il)
    q, k = g.proj("attn_q", il, cur), g.proj("attn_k", il, cur)
    v = _routed(g, cur, il, routing) if g.w("attn_v_exps", il) is not None else g.proj("attn_v", il, cur)
    q, k = g.reshape(q, x.head_k, x.n_head, g.tokens), g.reshape(k, x.head_k, x.n_head_kv, g.tokens)
    v = g.reshape(v, x.head_v, x.n_head_kv, g.tokens)
    q, k = (
        g.normed(part, role, il) if g.w(role, il) is not None else part for part, role in ((q, "attn_q_norm"), (k, "attn_k_norm"))
    )
    return g.rope(q, pos), g.rope(k, pos), v


def _routed(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """build_routed_value: the weighted sum of the values that a token's experts give."""
    count, used = int(g.number("attention.value_expert_count")), int(g.number("attention.value_expert_used_count"))
    logits = g.mm(g.need("attn_v_gate", il), cur)
    probs = g.soft_max(logits) if routing.gating == "softmax" else g.unary("sigmoid", logits)
    bias = g.w("attn_v_gate", il, "bias")
    chosen = g.argsort_top_k(g.add(probs, bias) if bias is not None else probs, used)
    weights = g.get_rows(g.reshape(probs, 1, count, g.tokens), chosen)
    if routing.norm:
        weights = g.reshape(weights, used, g.tokens)
        weights = g.reshape(g.div(weights, g.clamp(g.sum_rows(weights))), 1, used, g.tokens)
    if routing.scaled:
        weights = g.scale(weights)
    values = g.mul_mat_id(g.need("attn_v_exps", il), g.reshape(cur, cur.ne[0], 1, g.tokens), chosen)
    values = g.mul(g.unary("silu", values), weights)
    values.name = "experts' values"
    return summed(g, values, (values.ne[0], 1, g.tokens), values.nb[:3], used)


FAMILY = Family(ARCHITECTURES, graph)
