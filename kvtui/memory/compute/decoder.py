"""The decoder most families share, with what differs between them in a record (src/models/llama.cpp and its like)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from kvtui.memory.compute.attention import attend, attend_uncached, caches, project, qkv, rows, uncached
from kvtui.memory.compute.build import NO_ROPE_STEP, Build
from kvtui.memory.compute.ffn import PLAIN, Routing, shared_or_dense
from kvtui.memory.compute.mtp import joined
from kvtui.memory.compute.tape import Node

Network = Callable[[Build, Node, int, Routing], Node]
Part = Literal["input", "attention", "ffn"]


def every(g: Build, il: int) -> bool:
    """Every block."""
    return True


def windowed(g: Build, il: int) -> bool:
    """Blocks that see a window."""
    return g.layer(il).is_swa


def three_of_four(g: Build, il: int) -> bool:
    """All but every fourth block (n_no_rope_layer_step)."""
    return (il + 1) % NO_ROPE_STEP != 0


@dataclass(frozen=True)
class Decoder:
    """What a family's block does beside attention and a feed-forward network. Norms, biases, sinks, experts, shared
    experts and learned positions follow from the tensors that the file holds."""

    norm: str = "rms"
    iswa: bool = False  # two caches, one of a window
    cached: bool = True  # False: attention is over the batch alone (diffusion)
    scaled_embd: bool = False  # text rows are multiplied by a number: sqrt(n_embd)
    scaled_rows: bool = False  # all rows are
    normed_embd: bool = False
    rope: bool = True
    sections: bool = False  # rope_multi: four positions a token
    roped: Callable[[Build, int], bool] = every  # blocks that turn Q and K
    factors: Callable[[Build, int], bool] = every  # blocks whose rope takes the file's frequency factors
    rope_first: bool = False  # Q and K are turned before they are normed
    by_rows: bool = False  # Q, K and V come as rows of all heads (build_qkv without its reshape)
    bare_qkv: bool = False  # without biases and scales
    qk_norm: str = "rms"
    scaled_q: bool = False  # Q times a number after rope
    tempered_q: bool = False  # and times a number of each token's own
    gate: Literal["", "sigmoid", "softplus"] = ""  # attention's output times a gate of its own, before it is projected
    scaled_attn: bool = False  # what attention gives is multiplied by a number
    attn_norm: str = "attn_norm"  # "": none
    attn_norm_missing: bool = False  # a block without it attends to its input as it is
    ffn_norm: str = "ffn_norm"  # "": none
    ffn_reads_input: bool = False  # a block without ffn_norm gives its network what attention reads
    parallel: tuple[Part, Part, Part] | None = None  # attention and network side by side: the order of their sum
    attn_post_norm: str = ""  # of attention's output, before it is added
    post_norm_all: bool = False  # and before rows that nobody asked for are dropped
    ffn_post_norm: str = ""
    post_norm_pinned: bool = False  # and it stays on its block's device
    scaled_parts: bool = False  # what is added to the residual is multiplied by a number
    routing: Routing = PLAIN
    network: Network = shared_or_dense
    late_outputs: bool = False  # rows that nobody asked for may go through all blocks (gpt-oss; Build.keeps_rows)
    late_normed: bool = False  # and through the output's norm
    all_outputs: bool = False  # every row gets its logits, asked for or not
    scaled_logits: int = 0
    softcapped: bool = False
    embeds: str = ""  # the norm of what an encoder gives instead of logits


def decode(g: Build, d: Decoder) -> None:
    """The whole graph."""
    embd = cur = g.inp_embd(d.scaled_embd)
    table = g.weight("position_embd.weight")
    pos = g.inp_pos(g.SECTIONS if d.sections else 1) if d.rope or table is not None else None
    cur = _embedded(g, d, cur, pos, table)
    scale = g.inp_attn_scale() if d.tempered_q else None
    attended = _attention(g, d)
    out_ids = g.inp_out_ids()
    late = d.all_outputs or ((d.late_outputs or d.late_normed) and g.keeps_rows)
    for il in g.blocks:
        residual = cur
        bare = not d.attn_norm or (d.attn_norm_missing and g.w(d.attn_norm, il) is None)
        normed = cur if bare else g.normed(cur, d.attn_norm, il, d.norm)
        own = g.w("attn_norm_2", il) is not None  # attention's own norm: falcon
        cur = g.normed(cur, "attn_norm_2", il, d.norm) if own else normed
        cur = _attended(g, d, attended, cur, normed, il, pos, scale)
        if d.post_norm_all:
            cur = g.normed(cur, d.attn_post_norm, il, d.norm)
        if not late:
            cur, residual, normed = g.outputs_only(il, out_ids, cur, residual, normed)
        if d.parallel is not None:
            cur = _side_by_side(g, d, d.parallel, {"attention": cur, "input": residual}, normed, il)
        else:
            cur = _one_by_one(g, d, cur, residual, normed, il)
        if il < g.deepstack:
            cur = g.add(cur, g.view(embd, embd.ne[:2], embd.nb[:2], (il + 1) * embd.ne[0] * 4))
        cur.name = f"l_out-{il}"
    if d.late_outputs:
        cur.output = True  # t_h_nextn (llm_graph_result::set_outputs)
        if late:
            cur = g.get_rows(cur, out_ids)
    if d.embeds:
        embed(g, g.build_norm(cur, g.weight(f"{d.embeds}.weight"), -1, kind=d.norm))
        return
    g.finish(cur, d.norm, d.scaled_logits, d.softcapped, out_ids if d.late_normed else None)


def embed(g: Build, cur: Node) -> None:
    """The end of an encoder: its rows are what it gives (t_embd)."""
    cur.name, cur.output = "result_embd", True
    g.expand(cur)


def draft(g: Build, d: Decoder, finish: Callable[[Build, Node, int, Node], None]) -> None:
    """The MTP context's graph of a family whose MTP block is one of its own. `finish`: its end (mtp.py)."""
    il = g.blocks[0]
    cur = residual = joined(g, il)
    pos, attended, out_ids = g.inp_pos(g.SECTIONS if d.sections else 1), _attention(g, d), g.inp_out_ids()
    normed = g.normed(cur, d.attn_norm, il, d.norm)
    cur = _attended(g, d, attended, normed, normed, il, pos)
    finish(g, _one_by_one(g, d, cur, residual, normed, il), il, out_ids)


def _attended(
    g: Build,
    d: Decoder,
    attended: Callable[..., Node],
    cur: Node,
    normed: Node,
    il: int,
    pos: Node | None,
    scale: Node | None = None,
) -> Node:
    """Attention, to its projection. `cur`: what Q, K and V are made of; `normed`: what its gate is; `scale`: of Q."""
    q, k, v = _heads(g, d, cur, il, pos)
    if scale is not None:
        q = g.mul(q, scale)
    cur = attended(il, q, k, v, out=not d.gate)
    if d.gate:
        cur = project(g, gated(g, d.gate, cur, normed, il), il)
    return g.scale(cur) if d.scaled_attn else cur


def _attention(g: Build, d: Decoder) -> Callable[..., Node]:
    """What attends: to a cache, or to the batch alone."""
    if d.cached:
        return partial(attend, g, caches(g, d.iswa))
    return partial(attend_uncached, g, uncached(g, d.iswa))


def _embedded(g: Build, d: Decoder, cur: Node, pos: Node | None, table: Node | None) -> Node:
    if d.scaled_rows:
        cur = g.scale(cur)
    if table is not None and pos is not None:
        cur = g.add(cur, g.get_rows(table, pos))
    if d.normed_embd:
        w, bias = g.weight("token_embd_norm.weight"), g.weight("token_embd_norm.bias")
        cur = g.build_norm(cur, w, 0 if w is not None else -1, bias, d.norm)
    return cur


def _one_by_one(g: Build, d: Decoder, cur: Node, residual: Node, normed: Node, il: int) -> Node:
    """Attention is added before the network reads."""
    if d.attn_post_norm and not d.post_norm_all:
        cur = g.normed(cur, d.attn_post_norm, il, d.norm)
    if d.scaled_parts:
        cur = g.scale(cur)
    cur = inner = g.add(cur, residual)
    if d.ffn_reads_input and g.w(d.ffn_norm, il) is None:
        cur = normed
    elif d.ffn_norm:
        cur = g.normed(cur, d.ffn_norm, il, d.norm)
    cur = d.network(g, cur, il, d.routing)
    if d.ffn_post_norm:
        cur = g.build_norm(cur, g.w(d.ffn_post_norm, il), il if d.post_norm_pinned else -1)
    if d.scaled_parts:
        cur = g.scale(cur)
    return g.add(cur, inner)


def _side_by_side(g: Build, d: Decoder, order: tuple[Part, Part, Part], parts: dict[Part, Node], normed: Node, il: int) -> Node:
    """The network reads what attention read, or the input through a norm of its own."""
    if g.w(d.ffn_norm, il) is not None:
        normed = g.normed(parts["input"], d.ffn_norm, il, d.norm)
    parts = {**parts, "ffn": d.network(g, normed, il, d.routing)}
    first, second, third = (parts[p] for p in order)
    return g.add(g.add(first, second), third)


def _heads(g: Build, d: Decoder, cur: Node, il: int, pos: Node | None) -> tuple[Node, Node, Node]:
    """Q, K and V of all heads, ready for attention."""
    if d.by_rows:
        q, k, v = _by_rows(g, cur, il, d.qk_norm)
    else:
        q, k, v = qkv(g, cur, il, bare=d.bare_qkv)
    if not d.rope or not d.roped(g, il):
        pos = None
    factors = g.rope_factors(il) if d.factors(g, il) else None
    sides = ((q, "attn_q_norm"), (k, "attn_k_norm"))
    q, k = (turned(g, part, role, il, pos, factors, d.rope_first, d.qk_norm) for part, role in sides)
    return g.scale(q) if d.scaled_q else q, k, v


def _by_rows(g: Build, cur: Node, il: int, kind: str) -> tuple[Node, Node, Node]:
    """Rows of all heads, normed where the norm is as long as they are, and then heads."""
    x = g.layer(il)
    q, k, v = rows(g, cur, il)
    if _row_norm(g, "attn_q_norm", il):
        q, k = g.normed(q, "attn_q_norm", il, kind), g.normed(k, "attn_k_norm", il, kind)
    return (
        g.reshape(q, x.head_k, x.n_head, g.tokens),
        g.reshape(k, x.head_k, x.n_head_kv, g.tokens),
        g.reshape(v, x.head_v, x.n_head_kv, g.tokens),
    )


def _row_norm(g: Build, role: str, il: int) -> bool:
    """Whether a norm of Q is over all heads."""
    w = g.w(role, il)
    return w is not None and w.ne[0] * w.ne[1] == g.layer(il).head_k * g.layer(il).n_head


def turned(
    g: Build,
    cur: Node,
    role: str,
    il: int,
    pos: Node | None,
    factors: Node | None = None,
    rope_first: bool = False,
    kind: str = "rms",
) -> Node:
    """Q or K with its norm, where it has one of its heads, and rope."""
    if rope_first and pos is not None:
        cur = g.rope(cur, pos, factors)
    w = g.w(role, il)
    if w is not None and w.ne[0] == cur.ne[0]:
        cur = g.normed(cur, role, il, kind)
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
