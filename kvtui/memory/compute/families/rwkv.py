"""src/models/rwkv6qwen2.cpp, arwkv7.cpp, rwkv6-base.cpp, rwkv7-base.cpp: a recurrence over shifted tokens instead of
attention, and a dense network."""

from collections.abc import Callable

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.memory.compute.recurrent import States, build_rs, state, states
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("arwkv7", "rwkv6qwen2")
_LERPS = 5  # w, k, v, r and g of RWKV 6
Mix = Callable[[Build, States, Node, Node, int], Node]


def graph(g: Build) -> None:
    """llama_model_arwkv7::graph, llama_model_rwkv6qwen2::graph."""
    mix: Mix = _Mix7() if g.model.architecture == "arwkv7" else _mix6
    n, tokens, seqs = g.n_embd, g.tokens, g.at.seqs
    each = tokens // seqs
    cur = g.inp_embd()
    inp, out_ids = states(g), g.inp_out_ids()
    for il in g.blocks:
        x = g.reshape(cur, n, each, seqs)
        r = state(g, "r", il, n, inp.rows)
        shift = g.reshape(build_rs(g, inp, r), n, 1, seqs)
        rows = g.normed(x, "attn_norm", il)
        before = g.concat(shift, g.view(rows, (n, each - 1, seqs), rows.nb[:3]), 1)
        out = mix(g, inp, rows, before, il)
        last = g.view(rows, (n, 1, seqs), rows.nb[:3], (each - 1) * n * 4)
        g.expand(g.cpy(g.view(last, (n * seqs,)), g.view(r, (n * seqs,))))
        inner = g.reshape(g.add(out, x), n, tokens)
        (inner,) = g.outputs_only(il, out_ids, inner)
        cur = g.add(dense(g, g.normed(inner, "ffn_norm", il), il, scales=False), inner)
    g.finish(cur)


def _recurred(g: Build, inp: States, il: int, op: str, k: Node, *src: Node) -> Node:
    """The recurrence; its state goes back into the cache."""
    head, n, seqs = k.ne[0], k.ne[0] * k.ne[1], g.at.seqs
    s = state(g, "s", il, n * head, inp.rows)
    out = g.recurrence(op, k, *src, build_rs(g, inp, s))
    new = g.view(out, (n * head * seqs,), None, n * g.tokens * 4)
    g.expand(g.cpy(new, g.view(s, (n * head * seqs,))))
    return g.view(out, (n * g.tokens,))


def _mix6(g: Build, inp: States, cur: Node, before: Node, il: int) -> Node:
    """build_rwkv6_time_mix of models that were attention's (is_qrwkv)."""
    n, tokens, head = g.n_embd, g.tokens, int(g.number("wkv.head_size"))
    heads, kv_heads = n // head, g.layer(il).n_head_kv
    sx = g.reshape(g.sub(before, cur), n, tokens)
    flat = g.reshape(cur, n, tokens)
    mixed = g.add(g.mul(sx, g.need("time_mix_lerp_x", il)), flat)
    low = g.need("time_mix_w1", il)
    mixed = g.unary("tanh", g.mul_mat(low, mixed))
    mixed = g.cont(g.permute(g.reshape(mixed, low.ne[1] // _LERPS, 1, _LERPS, tokens), 0, 1, 3, 2))
    up = g.need("time_mix_w2", il)
    mixed = g.mul_mat(g.reshape(up, up.ne[0], up.ne[1], 1, _LERPS), mixed)
    sx, flat = g.reshape(sx, n, 1, tokens), g.reshape(flat, n, 1, tokens)
    mixed = g.add(g.mul(g.add(mixed, g.need("time_mix_lerp_fused", il)), sx), flat)
    xw, xk, xv, xr, xg = (g.view(mixed, (n, tokens), mixed.nb[:2], i * n * tokens * 4) for i in range(_LERPS))
    r, k, v = (_biased(g, f"time_mix_{role}", x, il) for role, x in (("receptance", xr), ("key", xk), ("value", xv)))
    gate = g.unary("sigmoid", g.mm(g.w("time_mix_gate", il), xg))
    if kv_heads not in (0, heads):
        k, v = (g.repeat(g.reshape(t, head, 1, kv_heads, tokens), head, heads // kv_heads, kv_heads, tokens) for t in (k, v))
    k, v, r = (g.reshape(t, head, heads, tokens) for t in (k, v, r))
    w = g.mul_mat(g.need("time_mix_decay_w2", il), g.unary("tanh", g.mul_mat(g.need("time_mix_decay_w1", il), xw)))
    w = g.unary("exp", g.unary("neg", g.unary("exp", g.add(w, g.need("time_mix_decay", il)))))
    w = g.reshape(w, head, heads, tokens)
    k = g.sub(k, g.mul(k, w))
    out = g.reshape(_recurred(g, inp, il, "gated_linear_attn", k, k, v, r, w), n, tokens)
    out = g.mm(g.w("time_mix_output", il), g.mul(out, gate))
    return g.reshape(out, n, tokens // g.at.seqs, g.at.seqs)


def _biased(g: Build, role: str, x: Node, il: int) -> Node:
    out, bias = g.mm(g.w(role, il), x), g.w(role, il, "bias")
    return out if bias is None else g.add(out, bias)


class _Mix7:
    """build_rwkv7_time_mix; later blocks look at the first one's values."""

    def __init__(self) -> None:
        self.first: Node | None = None

    def __call__(self, g: Build, inp: States, cur: Node, before: Node, il: int) -> Node:
        n, tokens, seqs, head = g.n_embd, g.tokens, g.at.seqs, int(g.number("wkv.head_size"))
        heads, each = n // head, tokens // seqs
        gated = g.w("time_mix_g1", il) is not None and g.w("time_mix_g2", il) is not None
        parts = 6 if gated else 5
        sx = g.repeat(g.sub(before, cur), n, each, seqs, parts)
        mixed = g.add(g.mul(sx, g.need("time_mix_lerp_fused", il)), cur)
        xr, xw, xk, xv, xa, *rest = (g.view(mixed, (n, tokens), mixed.nb[:2], i * n * tokens * 4) for i in range(parts))
        r = g.mm(g.w("time_mix_receptance", il), xr)
        w = g.mul_mat(g.need("time_mix_w2", il), g.unary("tanh", g.mul_mat(g.need("time_mix_w1", il), xw)))
        w = g.unary("exp", g.scale(g.unary("sigmoid", g.add(w, g.need("time_mix_w0", il)))))
        k, v = g.mm(g.w("time_mix_key", il), xk), g.mm(g.w("time_mix_value", il), xv)
        if self.first is None:
            self.first = v
        else:
            share = g.unary("sigmoid", _low_rank(g, "v", xv, il))
            v = g.add(v, g.mul(g.sub(self.first, v), share))
        a = g.unary("sigmoid", _low_rank(g, "a", xa, il))
        kk = g.l2_norm(g.reshape(g.mul(k, g.need("time_mix_k_k", il)), head, heads, tokens))
        ka = g.mul(k, g.need("time_mix_k_a", il))
        k = g.add(k, g.sub(g.mul(a, ka), ka))
        r, w, k, v, a = (g.reshape(t, head, heads, tokens) for t in (r, w, k, v, a))
        out = _recurred(g, inp, il, "rwkv_wkv7", k, r, w, k, v, g.unary("neg", kk), g.mul(kk, a))
        norm, bias = g.w("time_mix_ln", il), g.w("time_mix_ln", il, "bias")
        if norm is not None and bias is not None:
            out = g.reshape(g.norm(g.reshape(out, head, heads, tokens)), n, tokens)
            out = g.add(g.mul(out, norm), bias)
        else:
            out = g.reshape(out, n, tokens)
        rk = g.sum_rows(g.mul(g.mul(k, r), g.reshape(g.need("time_mix_r_k", il), head, heads)))
        out = g.add(out, g.reshape(g.mul(v, rk), n, tokens))
        if rest:
            low = g.unary("sigmoid", g.mul_mat(g.need("time_mix_g1", il), rest[0]))
            out = g.mul(out, g.mul_mat(g.need("time_mix_g2", il), low))
        return g.reshape(g.mm(g.w("time_mix_output", il), out), n, each, seqs)


def _low_rank(g: Build, part: str, x: Node, il: int) -> Node:
    out = g.mul_mat(g.need(f"time_mix_{part}2", il), g.mul_mat(g.need(f"time_mix_{part}1", il), x))
    return g.add(out, g.need(f"time_mix_{part}0", il))


FAMILY = Family(ARCHITECTURES, graph)
