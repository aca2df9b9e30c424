"""Gated delta nets (src/models/delta-net-base.cpp, qwen35.cpp)."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.recurrent import States, build_rs, snapshots, state
from kvtui.memory.compute.tape import Node


def delta_net(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_layer_attn_linear of qwen35 and qwen35moe, with the fused operation."""
    inner, k_dim = int(g.number("ssm.inner_size")), int(g.number("ssm.state_size"))
    k_heads, v_heads = int(g.number("ssm.group_count")), int(g.number("ssm.time_step_rank"))
    v_dim, seqs = inner // v_heads, g.at.seqs
    each = g.tokens // seqs
    mixed = g.proj("attn_qkv", il, cur)
    mixed = g.reshape(mixed, mixed.ne[0], each, seqs)
    z = g.proj("attn_gate", il, cur)
    beta = g.unary("sigmoid", g.reshape(g.proj("ssm_beta", il, cur), 1, v_heads, each, seqs))
    alpha = g.reshape(g.proj("ssm_alpha", il, cur), v_heads, each, seqs)
    alpha = g.unary("softplus", g.add(alpha, g.need("ssm_dt", il, "bias")))
    gate = g.reshape(g.mul(alpha, g.need("ssm_a", il, "")), 1, v_heads, each, seqs)
    kernel = g.need("ssm_conv1d", il)
    conv, channels = kernel.ne[0], inner + 2 * k_heads * k_dim
    r = state(g, "r", il, (conv - 1) * channels, inp.rows)
    s = state(g, "s", il, k_dim * inner, inp.rows)
    x = _convolved(g, inp, r, mixed, conv, channels)
    before = g.reshape(build_rs(g, inp, s), v_dim, v_dim, v_heads, seqs)
    mix = g.unary("silu", g.ssm_conv(x, kernel))
    row = mix.dtype.row_bytes(2 * k_dim * k_heads + v_dim * v_heads)
    q, k = (g.view(mix, (k_dim, k_heads, each, seqs), (4, k_dim * 4, row, row * each), i * k_dim * k_heads * 4) for i in (0, 1))
    v = g.view(mix, (v_dim, v_heads, each, seqs), (4, v_dim * 4, row, row * each), 2 * k_dim * k_heads * 4)
    q, k = (g.scale(g.rms_norm(t)) for t in (q, k))
    out = _attended(g, q, k, v, gate, beta, before, s)
    z = g.reshape(z, v_dim, v_heads, each, seqs)
    out = g.mul(g.build_norm(out, g.w("ssm_norm", il), il), g.unary("silu", z))
    cur = g.proj("ssm_out", il, g.reshape(out, v_dim * v_heads, each, seqs))
    return g.reshape(cur, g.n_embd, each * seqs)


def _convolved(g: Build, inp: States, r: Node, mixed: Node, conv: int, channels: int) -> Node:
    """build_conv_state: the last columns go on, and back into the cache."""
    seqs, kept = g.at.seqs, snapshots(g)
    before = g.reshape(build_rs(g, inp, r), conv - 1, channels, seqs)
    x = g.concat(before, g.transpose(mixed), 0)
    for t in range(1, kept + 1):
        start = max(0, x.ne[0] - before.ne[0] - kept + t)
        last = g.view(x, (conv - 1, channels, seqs), x.nb[:3], start * 4)
        g.expand(g.cpy(last, g.view(r, ((conv - 1) * channels, seqs), r.nb[:2])))
    return x


def _attended(g: Build, q: Node, k: Node, v: Node, gate: Node, beta: Node, before: Node, s: Node) -> Node:
    """build_recurrent_attn."""
    values, heads, each, seqs = v.ne
    kept = snapshots(g)
    both = g.gated_delta_net(q, k, v, gate, beta, before, kept)
    row = values * 4
    out = g.view(both, (values, heads, each, seqs), (4, row, row * heads, row * heads * each))
    size, offset = values * values * heads, row * heads * each * seqs
    if kept == 1:
        new = g.view(both, (values, values, heads, seqs), (4, row, row * values, row * values * heads), offset)
        g.expand(g.cpy(new, g.view(s, (s.ne[0], seqs), s.nb[:2])))
        return out
    written = min(each, kept)
    new = g.view(both, (size, seqs, written), (4, size * 4, size * 4 * seqs), offset)
    g.expand(g.cpy(new, g.view(s, (size, seqs, written), (4, s.nb[1], s.nb[1] * seqs))))
    return out
