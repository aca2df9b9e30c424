"""src/models/kimi-linear.cpp, bailingmoe3.cpp: delta nets with a decay a value, and latent attention every few blocks."""

from kvtui.memory.compute.attention import attend, project
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.kda import kda
from kvtui.memory.compute.mla import Latent, compressed, latent, mla
from kvtui.memory.compute.recurrent import Hybrid, hybrid, hybrid_k
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("kimi-linear", "bailingmoe3")
ALONE = ("kimi-linear",)
_SECTIONS = 4  # positions a token where rope is in sections


def graph(g: Build) -> None:
    """llama_model_kimi_linear::graph, llama_model_bailingmoe3::graph."""
    bailing = g.model.architecture == "bailingmoe3"
    d = latent(g)
    cur = g.inp_embd()
    inp = hybrid_k(g) if g.model.is_mla else hybrid(g)
    pos = g.inp_pos(_SECTIONS if g.number("rope.dimension_sections") else 1) if bailing else None
    out_ids = g.inp_out_ids()
    norm = g.flag("expert_weights_norm") if bailing else True
    routing = Routing(gating(g, "softmax"), norm, scaled(g), scales=False)
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if not bailing:
            g.expand(cur)
        if g.layer(il).is_recurrent:
            cur = kda(g, inp.states, cur, il)
        else:
            cur = attention(g, d, inp, cur, pos, il)
        narrowed = g.outputs_unless_kept if bailing else g.outputs_only
        cur, residual = narrowed(il, out_ids, cur, residual)
        inner = g.add(cur, residual)
        cur = g.add(shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing), inner)
    if bailing:
        g.finish_late(cur, out_ids)
    else:
        g.finish(cur)


def attention(g: Build, d: Latent, inp: Hybrid, cur: Node, pos: Node | None, il: int) -> Node:
    """Latent attention, with a gate a head where the file has one; older files hold K and V as they are."""
    heads, low = g.layer(il).n_head, g.w("attn_q_a", il)
    if low is not None:
        q = g.mm(g.w("attn_q_b", il), g.normed(g.mm(low, cur), "attn_q_a_norm", il))
    else:
        q = g.mm(g.w("attn_q", il), cur)
    q = g.reshape(q, d.head_k, heads, g.tokens)
    kv, k_pe = compressed(g, d, cur, il)
    if not g.model.is_mla:
        return _uncompressed(g, d, inp, q, kv, k_pe, il)
    k_pe = g.rope(k_pe, pos) if pos is not None else k_pe
    gate = g.w("attn_gate", il)
    out = mla(g, d, inp.caches, il, q, kv, k_pe, pos, out=gate is None)
    if gate is None:
        return out
    if gate.ne[1] != heads:  # kimi-k3: a gate a value
        return g.mm(g.w("attn_output", il), g.mul(out, g.unary("sigmoid", g.mm(gate, cur))))
    rows = g.unary("sigmoid", g.reshape(g.mm(gate, cur), 1, heads, g.tokens))
    out = g.mul(g.reshape(out, d.head_v, heads, g.tokens), rows)
    return project(g, g.cont(out, d.head_v * heads, g.tokens), il)


def _uncompressed(g: Build, d: Latent, inp: Hybrid, q: Node, kv: Node, k_pe: Node, il: int) -> Node:
    heads, nope = g.layer(il).n_head, d.head_k - d.rope
    parts = g.mm(g.w("attn_kv_b", il), kv)
    row = (nope + d.head_v) * 4
    k = g.view(parts, (nope, heads, g.tokens), (4, row, row * heads))
    v = g.cont(g.view(parts, (d.head_v, heads, g.tokens), (4, row, row * heads), nope * 4))
    return attend(g, inp.caches, il, q, g.concat(g.repeat(k_pe, d.rope, heads, g.tokens), k, 0), v)


FAMILY = Family(ARCHITECTURES, graph, alone=ALONE)
