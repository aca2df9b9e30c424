"""src/models/gemma4.cpp: shared caches, embeddings a block, dense and routed networks side by side."""

from kvtui.memory.compute.attention import Caches, attend, caches
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe
from kvtui.memory.compute.tape import I32, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("gemma4",)


def repeats(model: ModelSpec) -> bool:
    """Not where every block reads a part of its own of the embeddings, or another block's cache."""
    return all(x.has_cache for x in model.layers) and all(t.name != "per_layer_token_embd.weight" for t in model.tensors)


def graph(g: Build) -> None:
    """llama_model_gemma4::graph."""
    rows = own_rows(g)
    first = g.at.build.has("own_rows_first")
    if rows is not None and first:
        g.expand(rows)
    cur = g.inp_embd(scaled=True)
    pos = g.inp_pos()
    inp, out_ids = caches(g, iswa=True), g.inp_out_ids()
    per_block = per_block_embeddings(g, cur, rows, looked_up=first)
    for il in g.blocks:
        attended = _attention(g, inp, g.normed(cur, "attn_norm", il), pos, il)
        attended, cur = g.outputs_unless_kept(il, out_ids, attended, cur)
        inner = g.add(g.normed(attended, "post_attention_norm", il), cur)
        cur = (
            _routed(g, inner, il)
            if g.w("ffn_gate_inp", il) is not None
            else dense(g, g.normed(inner, "ffn_norm", il), il, "gelu")
        )
        cur = g.add(g.build_norm(cur, g.w("post_ffw_norm", il), -1), inner)
        if per_block is not None:
            cur = g.add(cur, _own_embedding(g, cur, per_block, il, out_ids))
        scale = g.w("layer_output_scale", il)
        if scale is not None:
            cur = g.mul(cur, scale)
    g.finish_late(cur, out_ids, capped=g.number("final_logit_softcapping") > 0)


def _attention(g: Build, inp: Caches, cur: Node, pos: Node, il: int) -> Node:
    x = g.layer(il)
    factors = None if x.is_swa else g.rope_factors(il)
    row = x.head_k * 4
    mixed = g.proj("attn_qkv", il, cur) if g.w("attn_qkv", il) is not None else None

    def part(role: str, start: int, heads: int) -> Node | None:
        if mixed is not None:
            return g.cont(g.view(mixed, (x.head_k * heads, g.tokens), mixed.nb[:2], start * row))
        return g.proj(role, il, cur) if g.w(role, il) is not None else None

    q = part("attn_q", 0, x.n_head)
    if q is None:
        raise MissingTensorError
    q = g.rope(g.normed(g.reshape(q, x.head_k, x.n_head, g.tokens), "attn_q_norm", il), pos, factors)
    if not x.has_cache:
        return attend(g, inp, il, q, None, None, source=_source(g, il))
    k = part("attn_k", x.n_head, x.n_head_kv)
    if k is None:
        raise MissingTensorError
    v = part("attn_v", x.n_head + x.n_head_kv, x.n_head_kv) or k
    k, v = (g.reshape(t, x.head_k, x.n_head_kv, g.tokens) for t in (k, v))
    k = g.normed(k, "attn_k_norm", il)
    v = g.rms_norm(v)
    return attend(g, inp, il, q, g.rope(k, pos, factors), v)


def _source(g: Build, il: int) -> int:
    """The block whose cache is read: the last of its kind that has one (llama-model.cpp, create_memory)."""
    own = sum(x.has_cache for x in g.model.layers)
    return own - (2 if g.layer(il).is_swa else 1)


def _routed(g: Build, inner: Node, il: int) -> Node:
    """A dense network and experts, each with norms of its own."""
    shared = g.normed(dense(g, g.normed(inner, "ffn_norm", il), il, "gelu"), "post_ffw_norm_1", il)
    cur = g.normed(inner, "pre_ffw_norm_2", il)
    router = g.mul(g.scale(g.rms_norm(inner)), g.need("ffn_gate_inp", il, "scale"))
    logits = g.mm(g.w("ffn_gate_inp", il), router)
    out = moe(g, cur, il, Routing(act="gelu"), logits)
    return g.add(shared, g.normed(out, "post_ffw_norm_2", il))


def own_rows(g: Build) -> Node | None:
    """build_inp_per_layer: rows of the embeddings that every block has a part of."""
    table = g.weight("per_layer_token_embd.weight")
    return None if table is None else g.get_rows(table, g.input(I32, g.tokens, name="inp_tokens"))


def per_block_embeddings(g: Build, embd: Node, rows: Node | None, looked_up: bool = False) -> Node | None:
    """project_per_layer_inputs: [values, tokens, blocks] of `own_rows`, which may have been looked up before."""
    if rows is None:
        return None
    blocks = g.model.n_layer
    values = rows.ne[0] // blocks
    rows = g.scale(g.reshape(rows, values, blocks, g.tokens))
    if not looked_up:
        g.expand(rows)
    cur = g.scale(g.mm(g.weight("per_layer_model_proj.weight"), embd))
    cur = g.build_norm(g.reshape(cur, values, blocks, g.tokens), g.weight("per_layer_proj_norm.weight"), -1)
    return g.cont(g.permute(g.scale(g.add(cur, rows)), 0, 2, 1, 3))


def _own_embedding(g: Build, cur: Node, per_block: Node, il: int, out_ids: Node) -> Node:
    values, tokens = per_block.ne[:2]
    own = g.view(per_block, (values, tokens), (4, values * 4), il * values * tokens * 4)
    (own,) = g.outputs_unless_kept(il, out_ids, own)
    cur = g.mul(g.unary("gelu", g.mm(g.w("inp_gate", il), cur)), own)
    return g.normed(g.mm(g.w("proj", il), cur), "post_norm", il)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
