"""Delta nets with a decay a value (Kimi Delta Attention; src/models/kimi-linear.cpp, bailingmoe3.cpp, glm5-next.cpp)."""

from math import inf

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.delta import attended
from kvtui.memory.compute.recurrent import States, build_rs, snapshots, state
from kvtui.memory.compute.tape import Node

_PARTS = ("q", "k", "v")  # each with a convolution of its own, in one state


def kda(g: Build, inp: States, cur: Node, il: int) -> Node:
    """A block of it, up to the output's projection."""
    head, seqs = int(g.number("kda.head_dim")), g.at.seqs
    heads = g.need("ssm_a", il, "").elements
    each, inner = g.tokens // seqs, heads * head
    conv = int(g.number("ssm.conv_kernel"))
    r = state(g, "r", il, len(_PARTS) * (conv - 1) * inner, inp.rows)
    before = build_rs(g, inp, r)
    q, k, v = (_convolved(g, r, before, i, _projected(g, cur, i, inner, il), inner, il) for i in range(len(_PARTS)))
    q, k, v = (g.reshape(t, head, heads, each, seqs) for t in (q, k, v))
    gate = _decay(g, cur, head, heads, il)
    beta = g.unary("sigmoid", g.reshape(g.mm(g.w("ssm_beta", il), cur), 1, heads, each, seqs))
    s = state(g, "s", il, head * inner, inp.rows)
    old = g.reshape(build_rs(g, inp, s), head, head, heads, seqs)
    q, k = (g.scale(g.rms_norm(t)) for t in (q, k))
    out = g.cont(attended(g, q, k, v, gate, beta, old, s))
    whole = g.w("ssm_g", il)  # kimi-k3: one projection of full rank
    out_gate = g.reshape(_low_rank(g, cur, "ssm_g", il) if whole is None else g.mm(whole, cur), head, heads, g.tokens)
    normed = g.build_norm(g.reshape(out, head, heads, g.tokens), g.w("ssm_norm", il), il)
    gated = g.cont(g.mul(normed, g.unary("sigmoid", out_gate)), inner, g.tokens)
    return g.mm(g.w("attn_output", il), gated)


def _projected(g: Build, cur: Node, part: int, inner: int, il: int) -> Node:
    merged = g.w("attn_qkv", il)
    if merged is None:
        return g.mm(g.w(f"attn_{_PARTS[part]}", il), cur)
    all_parts = g.mm(merged, cur)
    return g.cont(g.view(all_parts, (inner, g.tokens), all_parts.nb[:2], part * inner * 4))


def _convolved(g: Build, r: Node, before: Node, part: int, x: Node, inner: int, il: int) -> Node:
    """causal_conv1d."""
    seqs, conv = g.at.seqs, int(g.number("ssm.conv_kernel"))
    each, size = g.tokens // seqs, (conv - 1) * inner
    nb = (4, (conv - 1) * 4, len(_PARTS) * size * 4)
    x = g.reshape(x, inner, each, seqs)
    x = g.concat(g.view(before, (conv - 1, inner, seqs), nb, part * size * 4), g.transpose(x), 0)
    for slot in range(min(each, snapshots(g))):
        last = g.view(x, (conv - 1, inner, seqs), x.nb[:3], (x.ne[0] - (conv - 1) - slot) * 4)
        g.expand(g.cpy(last, g.view(r, (conv - 1, inner, seqs), nb, part * size * 4)))
    kernel = g.reshape(g.need(f"ssm_conv1d_{_PARTS[part]}", il), conv, inner)
    return g.unary("silu", g.reshape(g.ssm_conv(x, kernel), inner, g.tokens))


def _low_rank(g: Build, cur: Node, role: str, il: int) -> Node:
    """Two projections, or one where the file has no second."""
    cur = g.mm(g.w(f"{role}_a", il), cur)
    second = g.w(f"{role}_b", il)
    return cur if second is None else g.mm(second, cur)


def _decay(g: Build, cur: Node, head: int, heads: int, il: int) -> Node:
    """The decay of each value; bounded where the header says how far (kda.safe_gate, kda.gate_lower_bound)."""
    seqs = g.at.seqs
    a = g.reshape(g.need("ssm_a", il, ""), 1, heads, 1)
    rows = g.add(_low_rank(g, cur, "ssm_f", il), g.need("ssm_dt", il, "bias"))
    if g.number("kda.gate_lower_bound", -inf) > -inf:
        rows = g.mul(g.reshape(rows, head, heads, g.tokens), a)
        if g.model.architecture != "bailingmoe3":
            rows = g.scale(rows)
        rows = g.scale(g.unary("sigmoid", rows))
    else:
        rows = g.mul(g.reshape(g.unary("softplus", rows), head, heads, g.tokens), a)
    return g.reshape(rows, head, heads, g.tokens // seqs, seqs)
