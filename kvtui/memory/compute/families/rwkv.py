"""src/models/rwkv6.cpp, rwkv7.cpp, rwkv6qwen2.cpp, arwkv7.cpp, rwkv6-base.cpp, rwkv7-base.cpp: a recurrence over shifted
tokens instead of attention. RWKV's own networks read shifted tokens too; models that were attention's keep a dense network."""

from collections.abc import Callable

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.memory.compute.recurrent import States, build_rs, state, states
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("arwkv7", "rwkv6", "rwkv6qwen2", "rwkv7")
_LERPS = "wkvrg"  # what RWKV 6 mixes a token and the one before it for
_SHIFTS = 2  # tokens that RWKV's own blocks keep: attention's and the network's
Mix = Callable[[Build, States, Node, Node, int], Node]


def repeats(model: ModelSpec) -> bool:
    """Not where every few blocks are scaled (rescale_every_n_layers)."""
    return not model.header.metadata.get(f"{model.architecture}.rescale_every_n_layers")


def graph(g: Build) -> None:
    """The graph of the architecture."""
    mix: Mix = _Mix7() if g.model.architecture in ("arwkv7", "rwkv7") else _mix6
    if g.model.architecture in ("rwkv6", "rwkv7"):
        _own(g, mix)
    else:
        _converted(g, mix)


def _converted(g: Build, mix: Mix) -> None:
    """llama_model_arwkv7::graph, llama_model_rwkv6qwen2::graph."""
    n, tokens, seqs = g.n_embd, g.tokens, g.at.seqs
    each = tokens // seqs
    cur = g.inp_embd()
    inp, out_ids = states(g), g.inp_out_ids()
    for il in g.blocks:
        x = g.reshape(cur, n, each, seqs)
        r = state(g, "r", il, n, inp.rows)
        shift = g.reshape(build_rs(g, inp, r), n, 1, seqs)
        rows = g.normed(x, "attn_norm", il)
        out = mix(g, inp, rows, _before(g, shift, rows), il)
        g.expand(g.cpy(g.view(_newest(g, rows), (n * seqs,)), g.view(r, (n * seqs,))))
        inner = g.reshape(g.add(out, x), n, tokens)
        (inner,) = g.outputs_only(il, out_ids, inner)
        cur = g.add(dense(g, g.normed(inner, "ffn_norm", il), il, scales=False), inner)
    g.finish(cur)


def _own(g: Build, mix: Mix) -> None:
    """llama_model_rwkv6::graph, llama_model_rwkv7::graph."""
    n, tokens, seqs = g.n_embd, g.tokens, g.at.seqs
    cur = g.build_norm(g.inp_embd(), g.weight("token_embd_norm.weight"), 0, g.weight("token_embd_norm.bias"), "layer")
    inp, out_ids = states(g), g.inp_out_ids()
    sixth = g.model.architecture == "rwkv6"
    rescaled = int(g.number("rescale_every_n_layers"))
    for il in g.blocks:
        x = g.reshape(cur, n, tokens // seqs, seqs)
        r = state(g, "r", il, _SHIFTS * n, inp.rows)
        shifts = g.reshape(build_rs(g, inp, r), n, _SHIFTS, seqs)
        ours, nets = (g.view(shifts, (n, 1, seqs), shifts.nb[:3], i * n * 4) for i in range(_SHIFTS))
        rows = g.normed(x, "attn_norm", il, "layer")
        out = mix(g, inp, rows, _before(g, ours, rows), il)
        inner = g.add(out, x)
        normed = g.normed(inner, "attn_norm_2", il, "layer")
        before = _before(g, nets, normed)
        kept = g.concat(_newest(g, rows), _newest(g, normed), 1)
        g.expand(g.cpy(g.view(kept, (n * seqs * _SHIFTS,)), g.view(r, (n * seqs * _SHIFTS,))))
        inner, normed, before = (g.reshape(t, n, tokens) for t in (inner, normed, before))
        inner, normed, before = g.outputs_only(il, out_ids, inner, normed, before)
        cur = g.add(_channel_mix(g, normed, before, il, sixth), inner)
        if sixth and rescaled and (il + 1) % rescaled == 0:
            cur = g.scale(cur)
    g.finish(cur, "layer")


def _before(g: Build, shift: Node, rows: Node) -> Node:
    """Each token's row replaced by that of the one before it."""
    n, each, seqs = rows.ne[:3]
    return g.concat(shift, g.view(rows, (n, each - 1, seqs), rows.nb[:3]), 1)


def _newest(g: Build, rows: Node) -> Node:
    """Each slot's last row."""
    n, each, seqs = rows.ne[:3]
    return g.view(rows, (n, 1, seqs), rows.nb[:3], (each - 1) * n * 4)


def _channel_mix(g: Build, cur: Node, before: Node, il: int, sixth: bool) -> Node:
    """build_rwkv6_channel_mix, build_rwkv7_channel_mix."""
    sx = g.sub(before, cur)
    xk = g.add(g.mul(sx, g.need("channel_mix_lerp_k", il)), cur)
    if not sixth:
        return g.mm(g.w("channel_mix_value", il), g.sqr(g.unary("relu", g.mm(g.w("channel_mix_key", il), xk))))
    xr = g.add(g.mul(sx, g.need("channel_mix_lerp_r", il)), cur)
    r = g.unary("sigmoid", g.mm(g.w("channel_mix_receptance", il), xr))
    k = g.sqr(g.unary("relu", g.mm(g.w("channel_mix_key", il), xk)))
    return g.mul(r, g.mm(g.w("channel_mix_value", il), k))


def _recurred(g: Build, inp: States, il: int, op: str, k: Node, *src: Node) -> Node:
    """The recurrence; its state goes back into the cache."""
    head, n, seqs = k.ne[0], k.ne[0] * k.ne[1], g.at.seqs
    s = state(g, "s", il, n * head, inp.rows)
    out = g.recurrence(op, k, *src, build_rs(g, inp, s))
    new = g.view(out, (n * head * seqs,), None, n * g.tokens * 4)
    g.expand(g.cpy(new, g.view(s, (n * head * seqs,))))
    return g.view(out, (n * g.tokens,))


def _mix6(g: Build, inp: States, cur: Node, before: Node, il: int) -> Node:
    """build_rwkv6_time_mix; models that were attention's (is_qrwkv) have no time_mix_first."""
    n, tokens, head = g.n_embd, g.tokens, int(g.number("wkv.head_size"))
    heads, kv_heads = n // head, g.layer(il).n_head_kv
    first = g.w("time_mix_first", il)
    xw, xk, xv, xr, xg = _lerps(g, g.reshape(g.sub(before, cur), n, tokens), g.reshape(cur, n, tokens), il)
    r, k, v = (_biased(g, f"time_mix_{role}", x, il) for role, x in (("receptance", xr), ("key", xk), ("value", xv)))
    gate = g.unary("sigmoid" if first is None else "silu", g.mm(g.w("time_mix_gate", il), xg))
    if kv_heads not in (0, heads):
        k, v = (g.repeat(g.reshape(t, head, 1, kv_heads, tokens), head, heads // kv_heads, kv_heads, tokens) for t in (k, v))
    k, v, r = (g.reshape(t, head, heads, tokens) for t in (k, v, r))
    w = g.mul_mat(g.need("time_mix_decay_w2", il), g.unary("tanh", g.mul_mat(g.need("time_mix_decay_w1", il), xw)))
    w = g.unary("exp", g.unary("neg", g.unary("exp", g.add(w, g.need("time_mix_decay", il)))))
    w = g.reshape(w, head, heads, tokens)
    if first is None:
        k = g.sub(k, g.mul(k, w))
        out = g.reshape(_recurred(g, inp, il, "gated_linear_attn", k, k, v, r, w), n, tokens)
    else:
        out = g.reshape(_recurred(g, inp, il, "rwkv_wkv6", k, k, v, r, first, w), head, heads, tokens)
        out = g.reshape(g.norm(out), n, tokens)
        out = g.add(g.mul(out, g.need("time_mix_ln", il)), g.need("time_mix_ln", il, "bias"))
    out = g.mm(g.w("time_mix_output", il), g.mul(out, gate))
    return g.reshape(out, n, tokens // g.at.seqs, g.at.seqs)


def _lerps(g: Build, sx: Node, flat: Node, il: int) -> list[Node]:
    """A token and its step from the one before it, mixed for each of `_LERPS`."""
    n, tokens, parts = g.n_embd, g.tokens, len(_LERPS)
    mixed = g.add(g.mul(sx, g.need("time_mix_lerp_x", il)), flat)
    low = g.need("time_mix_w1", il)
    mixed = g.unary("tanh", g.mul_mat(low, mixed))
    mixed = g.cont(g.permute(g.reshape(mixed, low.ne[1] // parts, 1, parts, tokens), 0, 1, 3, 2))
    up = g.need("time_mix_w2", il)
    mixed = g.mul_mat(g.reshape(up, up.ne[0], up.ne[1], 1, parts), mixed)
    fused = g.w("time_mix_lerp_fused", il)
    if fused is not None:
        sx, flat = g.reshape(sx, n, 1, tokens), g.reshape(flat, n, 1, tokens)
        mixed = g.add(g.mul(g.add(mixed, fused), sx), flat)
    each = [g.view(mixed, (n, tokens), mixed.nb[:2], i * n * tokens * 4) for i in range(parts)]
    if fused is not None:
        return each
    return [g.add(g.mul(g.add(x, g.need(f"time_mix_lerp_{part}", il)), sx), flat) for part, x in zip(_LERPS, each, strict=True)]


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


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
