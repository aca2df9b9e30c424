"""The decoder most families share, with what differs between them in a record (src/models/llama.cpp and its like)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kvtui.memory.compute.attention import attend, caches, project, qkv, rows
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.ffn import PLAIN, Routing, shared_or_dense
from kvtui.memory.compute.tape import Node

Network = Callable[[Build, Node, int, Routing], Node]


def every(g: Build, il: int) -> bool:
    """Every block."""
    return True


def windowed(g: Build, il: int) -> bool:
    """Blocks that see a window."""
    return g.layer(il).is_swa


@dataclass(frozen=True)
class Decoder:
    """What a family's block does beside attention and a feed-forward network. Norms, biases, sinks, experts and shared
    experts follow from the tensors that the file holds."""

    norm: str = "rms"
    iswa: bool = False  # two caches, one of a window
    scaled_embd: bool = False  # text rows are multiplied by a number: sqrt(n_embd)
    scaled_rows: bool = False  # all rows are
    rope: bool = True
    sections: bool = False  # rope_multi: four positions a token
    roped: Callable[[Build, int], bool] = every  # blocks that turn Q and K
    factors: Callable[[Build, int], bool] = every  # blocks whose rope takes the file's frequency factors
    rope_first: bool = False  # Q and K are turned before they are normed
    by_rows: bool = False  # Q, K and V come as rows of all heads (build_qkv without its reshape)
    bare_qkv: bool = False  # without biases and scales
    scaled_q: bool = False  # Q times a number after rope
    gate: Literal["", "sigmoid", "softplus"] = ""  # attention's output times a gate of its own, before it is projected
    scaled_attn: bool = False  # what attention gives is multiplied by a number
    ffn_norm: str = "ffn_norm"
    attn_post_norm: str = ""  # of attention's output, before it is added
    post_norm_all: bool = False  # and before rows that nobody asked for are dropped
    ffn_post_norm: str = ""
    post_norm_pinned: bool = False  # and it stays on its block's device
    routing: Routing = PLAIN
    network: Network = shared_or_dense
    late_outputs: bool = False  # rows that nobody asked for go through all blocks (gpt-oss)
    late_normed: bool = False  # and through the output's norm
    scaled_logits: int = 0
    softcapped: bool = False


def decode(g: Build, d: Decoder) -> None:
    """The whole graph."""
    embd = cur = g.inp_embd(d.scaled_embd)
    if d.scaled_rows:
        cur = g.scale(cur)
    pos = g.inp_pos(g.SECTIONS if d.sections else 1) if d.rope else None
    inp = caches(g, d.iswa)
    out_ids = g.inp_out_ids()
    late = d.late_outputs or d.late_normed
    for il in g.blocks:
        residual = cur
        normed = g.normed(cur, "attn_norm", il, d.norm)
        q, k, v = _heads(g, d, normed, il, pos)
        cur = attend(g, inp, il, q, k, v, out=not d.gate)
        if d.gate:
            cur = project(g, gated(g, d.gate, cur, normed, il), il)
        if d.scaled_attn:
            cur = g.scale(cur)
        if d.post_norm_all:
            cur = g.normed(cur, d.attn_post_norm, il, d.norm)
        if not late:
            cur, residual = g.outputs_only(il, out_ids, cur, residual)
        if d.attn_post_norm and not d.post_norm_all:
            cur = g.normed(cur, d.attn_post_norm, il, d.norm)
        cur = inner = g.add(cur, residual)
        cur = d.network(g, g.normed(cur, d.ffn_norm, il, d.norm), il, d.routing)
        if d.ffn_post_norm:
            cur = g.build_norm(cur, g.w(d.ffn_post_norm, il), il if d.post_norm_pinned else -1)
        cur = g.add(cur, inner)
        if il < g.deepstack:
            cur = g.add(cur, g.view(embd, embd.ne[:2], embd.nb[:2], (il + 1) * embd.ne[0] * 4))
        cur.name = f"l_out-{il}"
    if d.late_outputs:
        cur.output = True  # t_h_nextn (llm_graph_result::set_outputs)
        cur = g.get_rows(cur, out_ids)
    g.finish(cur, d.norm, d.scaled_logits, d.softcapped, out_ids if d.late_normed else None)


def _heads(g: Build, d: Decoder, cur: Node, il: int, pos: Node | None) -> tuple[Node, Node, Node]:
    """Q, K and V of all heads, ready for attention."""
    if d.by_rows:
        q, k, v = _by_rows(g, cur, il)
    else:
        q, k, v = qkv(g, cur, il, bare=d.bare_qkv)
    if not d.roped(g, il):
        pos = None
    factors = g.rope_factors(il) if d.factors(g, il) else None
    q, k = (turned(g, part, role, il, pos, factors, d.rope_first) for part, role in ((q, "attn_q_norm"), (k, "attn_k_norm")))
    return g.scale(q) if d.scaled_q else q, k, v


def _by_rows(g: Build, cur: Node, il: int) -> tuple[Node, Node, Node]:
    """Rows of all heads, normed where the norm is as long as they are, and then heads."""
    x = g.layer(il)
    q, k, v = rows(g, cur, il)
    if _row_norm(g, "attn_q_norm", il):
        q, k = g.normed(q, "attn_q_norm", il), g.normed(k, "attn_k_norm", il)
    return (
        g.reshape(q, x.head_k, x.n_head, g.tokens),
        g.reshape(k, x.head_k, x.n_head_kv, g.tokens),
        g.reshape(v, x.head_v, x.n_head_kv, g.tokens),
    )


def _row_norm(g: Build, role: str, il: int) -> bool:
    """Whether a norm of Q is over all heads."""
    w = g.w(role, il)
    return w is not None and w.ne[0] * w.ne[1] == g.layer(il).head_k * g.layer(il).n_head


def turned(g: Build, cur: Node, role: str, il: int, pos: Node | None, factors: Node | None, rope_first: bool = False) -> Node:
    """Q or K with its norm, where it has one of its heads, and rope."""
    if rope_first and pos is not None:
        cur = g.rope(cur, pos, factors)
    w = g.w(role, il)
    if w is not None and w.ne[0] == cur.ne[0]:
        cur = g.build_norm(cur, w, il)
    if not rope_first and pos is not None:
        cur = g.rope(cur, pos, factors)
    return cur


def gated(g: Build, kind: str, cur: Node, normed: Node, il: int) -> Node:
    """Attention's output times a gate, of which there is one for every value or one a head."""
    x = g.layer(il)
    gate = g.w("attn_gate", il)
    if gate is None:
        return cur
    open_ = g.unary(kind, g.mm(gate, normed))
    if gate.ne[1] != x.n_head:
        return g.mul(cur, open_)
    heads = g.mul(g.reshape(cur, x.head_v, x.n_head, g.tokens), g.reshape(open_, 1, x.n_head, g.tokens))
    return g.reshape(heads, x.head_v * x.n_head, g.tokens)
