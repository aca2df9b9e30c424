"""Parallel residual streams, mixed before a block and after it (hyper-connections; src/models/deepseek4.cpp,
glm5-next.cpp): operations of their own on CUDA."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import Node


def gates(g: Build, x: Node, role: str, il: int) -> tuple[Node, Node, Node, Node, Node]:
    """The projection of all streams with its scales and bases, and two sigmoids of it, each a number a stream: how the
    streams are weighed, and what each gets of the block's output; neither is scaled yet."""
    n, streams, tokens, _ = x.ne
    mixes = g.mm(g.w(f"{role}_fn", il), g.rms_norm(g.reshape(x, streams * n, tokens)))
    scale, base = g.need(f"{role}_scale", il), g.need(f"{role}_base", il)
    pre, post = (
        g.unary(
            "sigmoid",
            g.add(
                g.mul(g.view(mixes, (streams, tokens), mixes.nb[:2], i * streams * 4), g.view(scale, (1,), None, i * 4)),
                g.view(base, (streams,), None, i * streams * 4),
            ),
        )
        for i in (0, 1)
    )
    return mixes, scale, base, pre, post


def mixed(g: Build, x: Node, role: str, il: int) -> tuple[Node, Node, Node]:
    """build_hc_pre: the streams' weighted sum, each one's share of the block's output, and how they are combined."""
    streams = x.ne[1]
    mixes, scale, base, pre, post = gates(g, x, role, il)
    return g.hc_pre(x, g.scale(pre)), g.scale(post), g.hc_comb(mixes, scale, base, streams)


def narrowed(g: Build, x: Node, out_ids: Node) -> Node:
    """Only the rows that are asked for, of every stream."""
    flat = g.get_rows(g.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), out_ids)
    return g.reshape(flat, x.ne[0], x.ne[1], out_ids.ne[0])


def mean(g: Build, x: Node) -> Node:
    """build_hc_mean."""
    rows = [g.view(x, (x.ne[0], x.ne[2]), (4, x.nb[2]), i * x.nb[1]) for i in range(x.ne[1])]
    total = rows[0]
    for row in rows[1:]:
        total = g.add(total, row)
    return g.scale(total)
