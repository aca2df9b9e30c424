"""src/models/bert.cpp, and what runs its graph: norms after what they add, no logits."""

from kvtui.memory.compute.attention import attend_uncached, qkv, uncached
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import embed
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, halves, moe
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe")
_TURNED = ("jina-bert-v3", "nomic-bert", "nomic-bert-moe")  # by rope
_ROUTING = Routing(norm=False, act="gelu", scales=False)


def alibi(model: ModelSpec) -> bool:
    """f_max_alibi_bias is 8, whatever the header says (jina-bert-v2.cpp, load_arch_hparams)."""
    return model.architecture == "jina-bert-v2"


def graph(g: Build) -> None:
    """llama_model_bert::graph."""
    arch = g.model.architecture
    pos = g.inp_pos() if arch != "jina-bert-v2" else None
    cur = g.inp_embd()
    types = g.weight("token_types.weight")
    if types is not None:
        cur = g.add(cur, g.view(types, (int(g.n_embd),)))
    table = g.weight("position_embd.weight")
    if arch == "bert" and table is not None and pos is not None:
        cur = g.add(g.get_rows(table, pos), cur)
    cur = g.build_norm(cur, g.weight("token_embd_norm.weight"), 0, g.weight("token_embd_norm.bias"), "layer")
    masks, out_ids = uncached(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        q, k, v = qkv(g, cur, il)
        q, k = _normed(g, q, "attn_q_norm", il), _normed(g, k, "attn_k_norm", il)
        if arch in _TURNED and pos is not None:
            q, k = g.rope(q, pos), g.rope(k, pos)
        cur = attend_uncached(g, masks, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.normed(g.add(cur, residual), "attn_output_norm", il, "layer")
        if g.w("attn_norm_2", il) is not None:
            inner = g.normed(g.add(inner, residual), "attn_norm_2", il, "layer")
        cur = g.normed(g.add(_network(g, inner, il), inner), "layer_output_norm", il, "layer")
    embed(g, cur)


def _normed(g: Build, heads: Node, role: str, il: int) -> Node:
    """Rows of all heads normed at once, where the file has such a norm."""
    if g.w(role, il) is None:
        return heads
    head, count, tokens = heads.ne[:3]
    rows = g.normed(g.reshape(heads, head * count, tokens), role, il, "layer")
    return g.reshape(rows, head, count, tokens)


def _network(g: Build, cur: Node, il: int) -> Node:
    """Experts in every other block of nomic-bert-moe; jina-bert-v2's `up` may hold the gate too."""
    if g.w("ffn_gate_inp", il) is not None:
        return moe(g, cur, il, _ROUTING)
    both = g.w("ffn_gate", il) is None and g.need("ffn_up", il).ne[1] != g.number_of("feed_forward_length", il)
    if g.model.architecture == "jina-bert-v2" and both:
        return halves(g, cur, il)
    return dense(g, cur, il, "silu" if g.model.architecture == "nomic-bert" else "gelu", scales=False)


FAMILY = Family(ARCHITECTURES, graph, alibi=alibi)
