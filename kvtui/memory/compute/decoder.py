"""The decoder most families share, with what differs between them in a record (src/models/llama.cpp and its like)."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.ffn import PLAIN, Routing, shared_or_dense
from kvtui.memory.compute.tape import Node


@dataclass(frozen=True)
class Decoder:
    """What a family's block does beside attention and a feed-forward network. Norms, biases, sinks, experts and shared
    experts follow from the tensors that the file holds."""

    norm: str = "rms"
    iswa: bool = False  # two caches, one of a window
    scaled_embd: bool = False  # text rows are multiplied by a number: sqrt(n_embd)
    rope: bool = True
    scaled_q: bool = False  # Q times a number after rope
    ffn_norm: str = "ffn_norm"
    attn_post_norm: str = ""  # of attention's output, before it is added
    ffn_post_norm: str = ""
    routing: Routing = PLAIN
    late_outputs: bool = False  # rows that nobody asked for go through all blocks (gpt-oss)
    scaled_logits: int = 0
    softcapped: bool = False


def decode(g: Build, d: Decoder) -> None:
    """The whole graph."""
    cur = g.inp_embd(d.scaled_embd)
    pos = g.inp_pos() if d.rope else None
    inp = caches(g, d.iswa)
    out_ids = g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il, d.norm)
        q, k, v = qkv(g, cur, il)
        if pos is not None:
            q, k = (turned(g, part, role, il, pos) for part, role in ((q, "attn_q_norm"), (k, "attn_k_norm")))
        if d.scaled_q:
            q = g.scale(q)
        cur = attend(g, inp, il, q, k, v)
        if not d.late_outputs:
            cur, residual = g.outputs_only(il, out_ids, cur, residual)
        if d.attn_post_norm:
            cur = g.normed(cur, d.attn_post_norm, il, d.norm)
        cur = inner = g.add(cur, residual)
        cur = shared_or_dense(g, g.normed(cur, d.ffn_norm, il, d.norm), il, d.routing)
        if d.ffn_post_norm:
            cur = g.build_norm(cur, g.w(d.ffn_post_norm, il), -1)
        cur = g.add(cur, inner)
        cur.name = f"l_out-{il}"
    if d.late_outputs:
        cur.output = True  # t_h_nextn (llm_graph_result::set_outputs)
        cur = g.get_rows(cur, out_ids)
    g.finish(cur, d.norm, d.scaled_logits, d.softcapped)


def turned(g: Build, cur: Node, role: str, il: int, pos: Node) -> Node:
    """Q or K with its norm, where it has one, and rope."""
    w = g.w(role, il)
    if w is not None:
        cur = g.build_norm(cur, w, il)
    return g.rope(cur, pos, g.rope_factors(il))
