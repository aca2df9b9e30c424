"""src/models/granite-switch.cpp: adapters in the file, of which each token has one; a head of its own behind the last block
finds out which."""

from kvtui.memory.compute.attention import attend, caches
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.tape import F32, I32, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("graniteswitch",)


def repeats(model: ModelSpec) -> bool:
    """Not where a block that is none has a cache."""
    return False


def graph(g: Build) -> None:
    """llama_model_granite_switch::graph."""
    embd = g.weight("token_embd.weight")
    if embd is None:
        raise MissingTensorError
    cur = g.get_rows(embd, g.input(I32, g.tokens, name="sub_tokens"))
    if g.number("embedding_scale"):
        cur = g.scale(cur)
    pos = g.inp_pos() if g.flag("rope.scaling.finetuned", True) else None
    inp = caches(g)
    signals = [g.input(F32, g.tokens, name=f"router_{part}") for part in "qkv"]
    head = g.layer(0).head_v
    q, k, v = (g.pad(g.reshape(s, 1, 1, g.tokens), head - 1) for s in signals)
    routed = attend(g, inp, g.model.n_layer, q, k, v, out=False)
    slot = g.reshape(g.cont(g.view(routed, (1, g.tokens), routed.nb[:2])), g.tokens)
    ids = g.cast(g.unary("round", g.clamp(slot)), I32)
    out_ids = g.inp_out_ids()
    scaled = g.number("residual_scale") != 0
    for il in g.blocks:
        residual = cur
        heads = _attended_heads(g, g.normed(cur, "attn_norm", il), ids, il, pos)
        cur = _switched(g, "attn_output", il, attend(g, inp, il, *heads, out=False), ids)
        if g.last(il):
            cur, residual = g.get_rows(cur, out_ids), g.get_rows(residual, out_ids)
            ids = g.get_rows(g.reshape(ids, 1, g.tokens), out_ids)
            ids = g.reshape(ids, out_ids.ne[0])
        inner = g.add(g.scale(cur) if scaled else cur, residual)
        cur = g.normed(inner, "ffn_norm", il)
        gate, up = _switched(g, "ffn_gate", il, cur, ids), _switched(g, "ffn_up", il, cur, ids)
        cur = _switched(g, "ffn_down", il, g.mul(g.unary("silu", gate), up), ids)
        cur = g.add(g.scale(cur) if scaled else cur, inner)
    g.finish(cur, scaled=1)


def _delta(g: Build, role: str, il: int, cur: Node, ids: Node) -> Node:
    """build_switched_lora_delta."""
    rows, ids = g.reshape(cur, cur.ne[0], 1, cur.ne[1]), g.reshape(ids, 1, cur.ne[1])
    low = g.mul_mat_id(g.need(role, il, "lora_a"), rows, ids)
    out = g.mul_mat_id(g.need(role, il, "lora_b"), low, ids)
    return g.reshape(out, out.ne[0], cur.ne[1])


def _switched(g: Build, role: str, il: int, cur: Node, ids: Node) -> Node:
    """build_switched_lora_mm."""
    return g.add(g.mul_mat(g.need(role, il), cur), _delta(g, role, il, cur, ids))


def _attended_heads(g: Build, cur: Node, ids: Node, il: int, pos: Node | None) -> tuple[Node, Node, Node]:
    """build_attention_layer, to Q, K and V of all heads."""
    x = g.layer(il)
    mixed, offset, parts = g.mul_mat(g.need("attn_qkv", il), cur), 0, []
    for heads in (x.n_head, x.n_head_kv, x.n_head_kv):
        parts.append(g.cont(g.view(mixed, (x.head_k * heads, g.tokens), mixed.nb[:2], offset)))
        offset += x.head_k * heads * 4
    q, k, v = (g.add(p, _delta(g, role, il, cur, ids)) for p, role in zip(parts, ("attn_q", "attn_k", "attn_v"), strict=True))
    q, k, v = (g.reshape(p, x.head_k, p.ne[0] // x.head_k, g.tokens) for p in (q, k, v))
    if pos is not None:
        factors = g.rope_factors(il)
        q, k = g.rope(q, pos, factors), g.rope(k, pos, factors)
    return q, k, v


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
