"""Gated delta nets (src/models/delta-net-base.cpp, qwen35.cpp, qwen3next.cpp)."""

from dataclasses import dataclass

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.recurrent import States, build_rs, snapshots, state
from kvtui.memory.compute.tape import Node


@dataclass(frozen=True)
class Heads:
    """Of keys and values, and the values of one."""

    keys: int
    values: int
    key: int
    value: int

    @property
    def repeats(self) -> int:
        """Heads of values for each of keys."""
        return self.values // self.keys


def delta_net(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_layer_attn_linear of qwen35, qwen35moe and qwen3next, with the fused operation."""
    inner, seqs = int(g.number("ssm.inner_size")), g.at.seqs
    counts = int(g.number("ssm.group_count")), int(g.number("ssm.time_step_rank"))
    h = Heads(*counts, int(g.number("ssm.state_size")), inner // counts[1])
    each = g.tokens // seqs
    mixed, z = _mixed(g, cur, il, h)
    paired = g.w("ssm_ba", il) is not None  # qwen3next: beta and alpha in one tensor, keys repeated for the operation
    beta, alpha = _paired(g, cur, il, h) if paired else _single(g, cur, il, h)
    alpha = g.unary("softplus", g.add(alpha, g.need("ssm_dt", il, "bias")))
    gate = g.reshape(g.mul(alpha, g.need("ssm_a", il, "")), 1, h.values, each, seqs)
    kernel = g.need("ssm_conv1d", il)
    conv, channels = kernel.ne[0], inner + 2 * h.keys * h.key
    r = state(g, "r", il, (conv - 1) * channels, inp.rows)
    s = state(g, "s", il, h.key * inner, inp.rows)
    x = convolved(g, inp, r, mixed, conv - 1, channels, copied=g.model.architecture == "qwen4exp")
    before = g.reshape(build_rs(g, inp, s), h.value, h.value, h.values, seqs)
    mix = g.unary("silu", g.ssm_conv(x, kernel))
    row, k_row = mix.dtype.row_bytes(channels), h.key * 4
    q, k = (g.view(mix, (h.key, h.keys, each, seqs), (4, k_row, row, row * each), offset) for offset in (0, k_row * h.keys))
    v = g.view(mix, (h.value, h.values, each, seqs), (4, h.value * 4, row, row * each), 2 * h.keys * k_row)
    q, k = (g.scale(g.rms_norm(t)) for t in (q, k))
    if paired and h.repeats > 1:
        q, k = (_repeated(g, t, h) for t in (q, k))
    out = attended(g, q, k, v, gate, beta, before, s)
    z = g.reshape(z, h.value, h.values, each, seqs)
    out = g.mul(g.build_norm(out, g.w("ssm_norm", il), il), g.unary("silu", z))
    cur = g.proj("ssm_out", il, g.reshape(out, inner, each, seqs))
    return g.reshape(cur, g.n_embd, each * seqs)


def _mixed(g: Build, cur: Node, il: int, h: Heads) -> tuple[Node, Node]:
    """build_qkvz: what is convolved, and the output's gate."""
    seqs = g.at.seqs
    each = g.tokens // seqs
    if g.w("attn_qkv", il) is not None:
        mixed = g.proj("attn_qkv", il, cur)
        return g.reshape(mixed, mixed.ne[0], each, seqs), g.proj("attn_gate", il, cur)
    sizes = (h.key, h.key, h.value * h.repeats, h.value * h.repeats)
    every = g.reshape(g.mm(g.w("ssm_in", il), cur), sum(sizes), h.keys, each, seqs)
    parts = [g.view(every, (n, h.keys, each, seqs), every.nb, sum(sizes[:i]) * 4) for i, n in enumerate(sizes)]
    z = g.cont(parts.pop())
    q, k, v = (g.cont(p, p.ne[0] * h.keys, each, seqs) for p in parts)
    return g.concat(g.concat(q, k, 0), v, 0), z


def _single(g: Build, cur: Node, il: int, h: Heads) -> tuple[Node, Node]:
    """Beta as it is used, and alpha's projection."""
    seqs = g.at.seqs
    each = g.tokens // seqs
    beta = g.unary("sigmoid", g.reshape(g.proj("ssm_beta", il, cur), 1, h.values, each, seqs))
    return beta, g.reshape(g.proj("ssm_alpha", il, cur), h.values, each, seqs)


def _paired(g: Build, cur: Node, il: int, h: Heads) -> tuple[Node, Node]:
    """The same of qwen3next."""
    seqs, n = g.at.seqs, h.repeats
    each = g.tokens // seqs
    both = g.reshape(g.mm(g.w("ssm_ba", il), cur), 2 * n, h.keys, each, seqs)
    b, a = (g.view(both, (n, h.keys, each, seqs), both.nb, i * n * 4) for i in (0, 1))
    beta = g.reshape(g.unary("sigmoid", g.cont(b)), 1, h.values, each, seqs)
    return beta, g.cont(a, h.values, each, seqs)


def _repeated(g: Build, t: Node, h: Heads) -> Node:
    """A head of keys for each of values."""
    seqs = g.at.seqs
    row = g.reshape(t, h.key, 1, h.keys, g.tokens)
    return g.reshape(g.repeat(row, h.key, h.repeats, h.keys, g.tokens), h.key, h.values, g.tokens // seqs, seqs)


def convolved(g: Build, inp: States, r: Node, mixed: Node, width: int, channels: int, copied: bool = False) -> Node:
    """build_conv_state: the last `width` columns go on, and back into the cache. `copied`: by way of a copy (qwen4exp)."""
    seqs, kept = g.at.seqs, snapshots(g)
    before = g.reshape(build_rs(g, inp, r), width, channels, seqs)
    x = g.concat(before, g.transpose(mixed), 0)
    for t in range(1, kept + 1):
        start = max(0, x.ne[0] - width - kept + t)
        last = g.view(x, (width, channels, seqs), x.nb[:3], start * 4)
        g.expand(g.cpy(g.cont(last) if copied else last, g.view(r, (width * channels, seqs), r.nb[:2])))
    return x


def attended(g: Build, q: Node, k: Node, v: Node, gate: Node, beta: Node, before: Node, s: Node) -> Node:
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
