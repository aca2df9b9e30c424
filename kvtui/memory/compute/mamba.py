"""Mamba blocks (src/models/mamba-base.cpp)."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.recurrent import States, build_rs, snapshots, state
from kvtui.memory.compute.tape import Node


def mamba2(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_mamba2_layer."""
    conv, inner, d_state = (int(g.number(f"ssm.{k}")) for k in ("conv_kernel", "inner_size", "state_size"))
    heads, groups = int(g.number("ssm.time_step_rank")), int(g.number("ssm.group_count"))
    head, channels, seqs = inner // heads, inner + 2 * groups * d_state, g.at.seqs
    each, kept = g.tokens // seqs, snapshots(g)
    written = min(each, kept)
    r = state(g, "r", il, (conv - 1) * channels, inp.rows)
    s = state(g, "s", il, d_state * inner, inp.rows)
    before = g.reshape(build_rs(g, inp, r), conv - 1, channels, seqs)
    mixed = g.proj("ssm_in", il, cur)
    mixed = g.reshape(mixed, mixed.ne[0], each, seqs)
    nb = mixed.nb
    z = g.view(mixed, (head, heads, each, seqs), (4, head * 4, nb[1], nb[2]))
    xbc = g.view(mixed, (channels, each, seqs), nb[:3], inner * 4)
    dt = g.view(mixed, (heads, each, seqs), nb[:3], (2 * inner + 2 * groups * d_state) * 4)
    x_conv = g.concat(before, g.transpose(xbc), 0)
    for slot in range(written):
        last = g.view(x_conv, (conv - 1, channels, seqs), x_conv.nb[:3], (each - slot) * 4)
        g.expand(g.cpy(last, g.view(r, ((conv - 1) * channels, seqs), r.nb[:2])))
    xbc = g.ssm_conv(x_conv, g.need("ssm_conv1d", il))
    xbc = g.unary("silu", g.add(xbc, g.need("ssm_conv1d", il, "bias")))
    nb = xbc.nb
    x = g.view(xbc, (head, heads, each, seqs), (4, head * 4, nb[1], nb[2]))
    b, c = (
        g.view(xbc, (d_state, groups, each, seqs), (4, d_state * 4, nb[1], nb[2]), (inner + i * groups * d_state) * 4)
        for i in (0, 1)
    )
    dt = g.add(g.cont(dt), g.need("ssm_dt", il, "bias"))
    a = g.need("ssm_a", il, "")

    def scan(rows: Node, ids: Node) -> Node:
        return g.ssm_scan(g.reshape(rows, d_state, head, heads, rows.ne[1]), x, dt, a, b, c, ids, kept)

    y_all = build_rs(g, inp, s, scan)
    size, offset = d_state * inner, x.elements * 4
    g.expand(
        g.cpy(
            g.view(y_all, (size, seqs, written), (4, size * 4, size * 4 * seqs), offset),
            g.view(s, (size, seqs, written), (4, s.nb[1], s.nb[1] * seqs)),
        )
    )
    y = g.view(y_all, (head, heads, each, seqs), (4, x.nb[1], heads * x.nb[1], each * heads * x.nb[1]))
    y = g.add(y, g.mul(x, g.need("ssm_d", il, "")))
    y = g.glu(g.cont(z), y)
    norm = g.w("ssm_norm", il)
    if norm is not None:
        y = g.build_norm(g.reshape(y, inner // groups, groups, each, seqs), norm, il)
    return g.proj("ssm_out", il, g.reshape(y, inner, each * seqs))


def mamba(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_mamba_layer: the first Mamba, with a decay a value and B, C and dt from one projection."""
    conv, inner, d_state = (int(g.number(f"ssm.{k}")) for k in ("conv_kernel", "inner_size", "state_size"))
    rank, seqs = int(g.number("ssm.time_step_rank")), g.at.seqs
    each = g.tokens // seqs
    r = state(g, "r", il, (conv - 1) * inner, inp.rows)
    s = state(g, "s", il, d_state * inner, inp.rows)
    before = g.reshape(build_rs(g, inp, r), conv - 1, inner, seqs)
    xz = g.proj("ssm_in", il, g.reshape(cur, cur.ne[0], each, seqs))
    x, z = (g.view(xz, (inner, each, seqs), xz.nb[:3], i * inner * 4) for i in (0, 1))
    x_conv = g.concat(before, g.transpose(x), 0)
    last = g.view(x_conv, (conv - 1, inner, seqs), x_conv.nb[:3], each * 4)
    g.expand(g.cpy(last, g.view(r, ((conv - 1) * inner * seqs,))))
    x = g.ssm_conv(x_conv, g.need("ssm_conv1d", il))
    x = g.unary("silu", g.add(x, g.need("ssm_conv1d", il, "bias")))
    parts = g.mm(g.w("ssm_x", il), x)
    nb = parts.nb
    dt = g.view(parts, (rank, each, seqs), nb[:3])
    b, c = (g.view(parts, (d_state, 1, each, seqs), (4, d_state * 4, nb[1], nb[2]), (rank + i * d_state) * 4) for i in (0, 1))
    norms = [g.w(f"ssm_{part}_norm", il) for part in ("dt", "b", "c")]
    if g.flag("ssm.dt_b_c_rms") or None not in norms:
        dt, b, c = (g.build_norm(part, norm, il) for part, norm in zip((dt, b, c), norms, strict=True))
    else:
        dt = g.cont(dt)
    dt = g.add(g.mm(g.w("ssm_dt", il), dt), g.need("ssm_dt", il, "bias"))
    heads = g.reshape(x, 1, inner, each, seqs)
    a = g.need("ssm_a", il, "")

    def scan(rows: Node, ids: Node) -> Node:
        return g.ssm_scan(g.reshape(rows, d_state, 1, inner, rows.ne[1]), heads, dt, a, b, c, ids)

    y_all = build_rs(g, inp, s, scan)
    new = g.view(y_all, (d_state * inner * seqs,), None, heads.elements * 4)
    g.expand(g.cpy(new, g.view(s, (d_state * inner * seqs,))))
    y = g.view(y_all, (inner, each, seqs), (4, heads.nb[2], heads.nb[3]))
    y = g.glu(g.cont(z), g.add(y, g.mul(x, g.need("ssm_d", il, ""))))
    cur = g.proj("ssm_out", il, y)
    return g.reshape(cur, cur.ne[0], each * seqs)


def plamo_mamba(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_plamo2_mamba_layer: a decay a head, B, C and dt from one projection, each with a norm."""
    conv, inner, d_state = (int(g.number(f"ssm.{k}")) for k in ("conv_kernel", "inner_size", "state_size"))
    heads, seqs = int(g.number("ssm.time_step_rank")), g.at.seqs
    head, each = inner // heads, g.tokens // seqs
    r = state(g, "r", il, (conv - 1) * inner, inp.rows)
    s = state(g, "s", il, d_state * inner, inp.rows)
    before = g.reshape(build_rs(g, inp, r), conv - 1, inner, seqs)
    zx = g.mm(g.w("ssm_in", il), g.reshape(cur, cur.ne[0], each, seqs))
    zx = g.cont(g.permute(zx, 0, 2, 1, 3), 2 * head, heads, each, seqs)
    z, x = (g.view(zx, (head, heads, each, seqs), zx.nb, i * head * 4) for i in (0, 1))
    x_conv = g.concat(before, g.transpose(g.cont(x, inner, each, seqs)), 0)
    last = g.view(x_conv, (conv - 1, inner, seqs), x_conv.nb[:3], each * 4)
    g.expand(g.cpy(last, g.view(r, ((conv - 1) * inner * seqs,))))
    x = g.unary("silu", g.ssm_conv(x_conv, g.need("ssm_conv1d", il)))
    parts = g.mm(g.w("ssm_x", il), x)
    rank = g.need("ssm_dt", il).ne[0]
    b, c, dt = (
        g.build_norm(g.view(parts, (n, each, seqs), parts.nb[:3], offset * 4), g.w(f"ssm_{role}_norm", il, ""), il)
        for role, n, offset in (("b", d_state, 0), ("c", d_state, d_state), ("dt", rank, 2 * d_state))
    )
    dt = g.add(g.mm(g.w("ssm_dt", il), dt), g.need("ssm_dt", il, "bias"))
    a = g.reshape(g.need("ssm_a", il, ""), 1, heads)
    rows = (4, head * 4, inner * 4, inner * each * 4)
    x = g.view(x, (head, heads, each, seqs), rows)
    b, c = (g.view(t, (d_state, 1, each, seqs), (4, d_state * 4, t.nb[1], t.nb[2])) for t in (b, c))

    def scan(states: Node, ids: Node) -> Node:
        return g.ssm_scan(g.reshape(states, d_state, head, heads, states.ne[1]), x, dt, a, b, c, ids)

    y_all = build_rs(g, inp, s, scan)
    new = g.view(y_all, (d_state * inner * seqs,), None, inner * each * seqs * 4)
    g.expand(g.cpy(new, g.view(s, (d_state * inner * seqs,))))
    y = g.view(y_all, (head, heads, each, seqs), rows)
    y = g.add(y, g.mul(x, g.reshape(g.need("ssm_d", il, ""), 1, heads)))
    y = g.glu(g.cont(z), y)
    cur = g.mm(g.w("ssm_out", il), g.view(y, (inner, each, seqs), (4, y.nb[2], y.nb[3])))
    return g.reshape(cur, cur.ne[0], each * seqs)
