"""src/models/deepseek4.cpp: parallel residual streams around attention over a window and compressed rows of K, which is V
too."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import mha, store, turn
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.compressors import CSA_RATIO, HCA_RATIO, Compressor, cache_of, compress, compressor, rotation
from kvtui.memory.compute.dsa import in_one, picked, unmasked
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, gating, moe, scaled
from kvtui.memory.compute.streams import mixed, narrowed
from kvtui.memory.compute.tape import F16, F32, I64, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("deepseek4",)


def repeats(_: ModelSpec) -> bool:
    """Not here: every indexer's zeros are placed before anything else."""
    return False


@dataclass(frozen=True)
class _Inputs:
    """llm_graph_input_dsv4: the window's cache, and what each compressor needs."""

    pos: Node
    k_ids: Node
    mask: Node
    rotation: Node | None
    csa: Compressor
    hca: Compressor
    index: Compressor


def graph(g: Build) -> None:
    """llama_model_deepseek4::graph."""
    cur = g.inp_embd()
    inp, out_ids = _inputs(g), g.inp_out_ids()
    g.expand(inp.mask)
    streams, tokens = int(g.number("hyper_connection.count")), g.tokens
    x = g.repeat(g.reshape(cur, g.n_embd, 1, tokens), g.n_embd, streams, tokens)
    for il in g.blocks:
        cur, post, comb = mixed(g, x, "hc_attn", il)
        x = g.hc_post(_attention(g, inp, g.normed(cur, "attn_norm", il), il), x, post, comb)
        cur, post, comb = mixed(g, x, "hc_ffn", il)
        for part in (x, post, comb):
            g.expand(part)
        x = g.hc_post(_ffn(g, g.normed(cur, "ffn_norm", il), il), x, post, comb)
    x = narrowed(g, x, out_ids)
    rows = g.mm(g.weight("output_hc_fn.weight"), g.rms_norm(g.reshape(x, streams * g.n_embd, x.ne[2])))
    scale, base = g.weight("output_hc_scale.weight"), g.weight("output_hc_base.weight")
    if scale is None:
        raise MissingTensorError
    if base is None:
        raise MissingTensorError
    weights = g.scale(g.unary("sigmoid", g.add(g.mul(rows, scale), base)))
    total: Node | None = None
    for i in range(streams):
        row = g.view(x, (g.n_embd, x.ne[2]), (4, x.nb[2]), i * x.nb[1])
        part = g.mul(row, g.view(weights, (1, x.ne[2]), weights.nb[:2], i * 4))
        total = part if total is None else g.add(total, part)
    if total is None:
        raise MissingTensorError
    g.finish(total)


def _inputs(g: Build) -> _Inputs:
    """build_inp_dsv4."""
    at, head = g.at, g.layer(0).head_k
    indexed = int(g.number("attention.indexer.key_length"))
    return _Inputs(
        pos=g.inp_pos(),
        k_ids=g.input(I64, at.tokens, name="k_idxs"),
        mask=g.input(F16 if at.flash else F32, at.swa_cells, at.tokens // at.streams, 1, at.streams, name="KQ mask"),
        rotation=rotation(g, head, always=head == indexed),
        csa=compressor(g, "csa", CSA_RATIO, head, at.flash, turned=head == indexed),
        hca=compressor(g, "hca", HCA_RATIO, head, at.flash, turned=head == indexed),
        index=compressor(g, "lid", CSA_RATIO, indexed, in_one(g, at.type_k), turned=True),
    )


def _attention(g: Build, inp: _Inputs, cur: Node, il: int) -> Node:
    """build_attention_impl."""
    x, at = g.layer(il), g.at
    head, heads, tokens = x.head_k, x.n_head, g.tokens
    low = g.normed(g.proj("attn_q_a", il, cur), "attn_q_a_norm", il)
    q = g.rope(g.rms_norm(g.reshape(g.proj("attn_q_b", il, low), head, heads, tokens)), inp.pos)
    kv = g.reshape(g.normed(g.proj("attn_kv", il, cur), "attn_kv_a_norm", il), head, 1, tokens)
    kv = g.rope(kv, inp.pos)
    more: Compressor | None = None
    mask: Node | None = None
    if x.compress_ratio == CSA_RATIO:
        more = inp.csa
        compress(g, more, cur, "attn_compressor", il)
        compress(g, inp.index, cur, "indexer_compressor", il)
        chosen = _picked(g, inp, low, cur, il)
        mask = unmasked(g, more.mask, chosen, F16 if at.flash else F32)
    elif x.compress_ratio == HCA_RATIO:
        more = inp.hca
        compress(g, more, cur, "attn_compressor", il)
        mask = more.mask
    if inp.rotation is not None:
        q, kv = turn(g, q, inp.rotation), turn(g, kv, inp.rotation)
    g.expand(q)
    g.expand(kv)
    cache = g.cached("k", il, at.type_k, head, at.swa_cells, at.streams)
    g.expand(store(g, cache, kv, inp.k_ids, at.swa_cells))
    k = _rows(g, cache, head)
    if more is None or mask is None:
        out = mha(g, il, q, k, k, inp.mask, g.w("attn_sinks", il))
    else:
        k = g.concat(k, _rows(g, cache_of(g, more, il), head), 2)
        out = mha(g, il, q, k, k, g.concat(inp.mask, mask, 0), g.w("attn_sinks", il))
    if inp.rotation is not None:
        out = turn(g, out, inp.rotation)
    groups = int(g.number("attention.output_group_count"))
    out = g.rope(g.reshape(out, head, heads, tokens), inp.pos)
    out = g.permute(g.reshape(out, heads // groups * head, groups, tokens), 0, 2, 1, 3)
    out = g.permute(g.mul_mat(g.need("attn_output_a", il), out), 0, 2, 1, 3)
    return g.proj("attn_output_b", il, g.cont(out, out.ne[0] * groups, tokens))


def _rows(g: Build, cache: Node, head: int) -> Node:
    """A cache as get_k gives it."""
    row = cache.nb[1]
    return g.view(cache, (head, 1, cache.ne[1], cache.ne[2]), (cache.nb[0], row, row, cache.nb[2]))


def _picked(g: Build, inp: _Inputs, low: Node, cur: Node, il: int) -> Node:
    """build_lid_top_k."""
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    q = g.rope(g.reshape(g.proj("indexer.attn_q_b", il, low), values, heads, g.tokens), inp.pos)
    assert inp.index.rotation is not None
    q = turn(g, q, inp.index.rotation)
    return picked(g, q, g.scale(g.proj("indexer.proj", il, cur)), cache_of(g, inp.index, il), inp.index.mask)


def _ffn(g: Build, cur: Node, il: int) -> Node:
    """Experts, in the first blocks chosen by the token itself, and the shared one."""
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g), scales=False)
    chosen: Node | None = None
    if il < g.number("hash_layer_count") and g.token_ids is not None:
        chosen = g.get_rows(g.need("ffn_gate_tid2eid", il), g.token_ids)
    return g.add(moe(g, cur, il, routing, chosen=chosen), dense(g, cur, il, suffix="_shexp", scales=False))


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
