"""src/models/minicpm3.cpp: latent attention whose cache holds K and V as they are."""

from kvtui.memory.compute.attention import attend, caches
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("minicpm3", "plm")


def graph(g: Build) -> None:
    """llama_model_minicpm3::graph, llama_model_plm::graph."""
    mini = g.model.architecture == "minicpm3"
    cur = g.inp_embd()
    if mini:
        cur = g.scale(cur)
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        q, k, v = _heads(g, g.normed(cur, "attn_norm", il), pos, g.rope_factors(il) if mini else None, il)
        cur = attend(g, inp, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(g.scale(cur) if mini else cur, residual)
        cur = dense(g, g.normed(inner, "ffn_norm", il), il, "relu_sqr", scales=False)
        cur = g.add(g.scale(cur) if mini else cur, inner)
    cur = g.build_norm(cur, g.weight("output_norm.weight"), -1)
    cur.name, cur.output = "result_norm", True
    g.head(g.scale(cur) if mini else cur)


def _heads(g: Build, cur: Node, pos: Node, factors: Node | None, il: int) -> tuple[Node, Node, Node]:
    x = g.layer(il)
    rank, rope = int(g.number("attention.kv_lora_rank")), int(g.number("rope.dimension_count"))
    nope, heads = x.head_k - rope, x.n_head
    low = g.w("attn_q_a", il)
    if low is not None:
        q = g.mm(g.w("attn_q_b", il), g.normed(g.mm(low, cur), "attn_q_a_norm", il))
    else:
        q = g.mm(g.w("attn_q", il), cur)
    q = g.reshape(q, x.head_k, heads, g.tokens)
    both = g.mm(g.w("attn_kv_a_mqa", il), cur)
    row = both.nb[1]
    k_pe = g.view(both, (rope, 1, g.tokens), (4, row, row), rank * 4)
    kv = g.mm(g.w("attn_kv_b", il), g.normed(g.view(both, (rank, g.tokens), (4, row)), "attn_kv_a_norm", il))
    each = kv.dtype.row_bytes(nope + x.head_v)
    nb = (4, each, each * heads)
    k = g.view(kv, (nope, heads, g.tokens), nb)
    v = g.cont(g.view(kv, (x.head_v, heads, g.tokens), nb, nope * 4))
    k = g.concat(k, g.repeat(g.rope(k_pe, pos, factors), rope, heads, g.tokens), 0)
    return g.rope(q, pos, factors), k, v


FAMILY = Family(ARCHITECTURES, graph)
