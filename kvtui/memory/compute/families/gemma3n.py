"""src/models/gemma3n.cpp: streams that are predicted and corrected around each block (altup), embeddings a block, shared
caches."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import Caches, attend, caches, qkv
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.families.gemma4 import own_rows, per_block_embeddings
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("gemma3n",)
_ACTIVE = 0  # i_altup_act: the stream that goes through the block
_SPARSE_BLOCKS = 10  # n_layer_sparsity


def repeats(_: ModelSpec) -> bool:
    """Not here: every block reads a part of its own of the embeddings."""
    return False


@dataclass(frozen=True)
class _Inputs:
    pos: Node
    caches: Caches
    per_block: Node


def graph(g: Build) -> None:
    """llama_model_gemma3n::graph."""
    x = g.inp_embd(scaled=True)
    pos, cache = g.inp_pos(), caches(g, iswa=True)
    per_block = per_block_embeddings(g, x, own_rows(g))
    if per_block is None:
        raise MissingTensorError
    inp = _Inputs(pos, cache, per_block)
    projection, back = g.weight("altup_proj.weight"), g.weight("altup_unembd_proj.weight")
    if projection is None:
        raise MissingTensorError
    if back is None:
        raise MissingTensorError
    streams, n, tokens = projection.ne[2] + 1, g.n_embd, g.tokens
    added = g.mul_mat(projection, g.repeat(x, n, tokens, streams - 1))
    x = g.concat(x, _of_magnitude(g, added, _magnitude(g, x)), 2)
    for il in g.blocks:
        x = _block(g, inp, x, streams, il)
    rest = g.view(x, (n, tokens, streams - 1), x.nb[:3], x.nb[2])
    merged = g.mul_mat(back, rest)
    merged = _of_magnitude(g, merged, _magnitude(g, _slice(g, x, _ACTIVE)))
    cur = _slice(g, x, 0)
    for i in range(streams - 1):
        cur = g.add(cur, _slice(g, merged, i))
    g.finish(g.get_rows(g.scale(cur), g.inp_out_ids()), capped=True)


def _slice(g: Build, x: Node, i: int) -> Node:
    return g.view(x, x.ne[:2], x.nb[:2], i * x.nb[2])


def _magnitude(g: Build, x: Node) -> Node:
    return g.sqrt(g.sum_rows(g.sqr(x)))


def _of_magnitude(g: Build, x: Node, target: Node) -> Node:
    return g.div(g.mul(x, target), _magnitude(g, x))


def _routed(g: Build, x: Node, il: int) -> Node:
    """altup_compute_router_modalities: [streams, tokens]."""
    return g.unary("tanh", g.mm(g.w("altup_router", il), g.scale(g.normed(x, "altup_router_norm", il))))


def _predicted(g: Build, x: Node, streams: int, il: int) -> Node:
    """altup_predict."""
    mixes = g.mm(g.w("altup_predict_coef", il), _routed(g, _slice(g, x, _ACTIVE), il))
    mixes = g.reshape(mixes, streams, streams, g.tokens)
    out = g.mul_mat(g.cont(g.permute(x, 1, 2, 0, 3)), mixes)
    return g.add(g.cont(g.permute(out, 0, 2, 1, 3)), x)


def _corrected(g: Build, predictions: Node, activated: Node, streams: int, il: int) -> Node:
    """altup_correct."""
    mixes = g.scale(g.mm(g.w("altup_correct_coef", il), _routed(g, activated, il)))
    mixes = g.cont(g.transpose(mixes), 1, g.tokens, streams)
    innovation = g.sub(activated, _slice(g, predictions, _ACTIVE))
    spread = g.repeat(innovation, g.n_embd, g.tokens, streams)
    return g.add(g.mul(spread, mixes), predictions)


def _block(g: Build, inp: _Inputs, x: Node, streams: int, il: int) -> Node:
    n, tokens = g.n_embd, g.tokens
    predictions = _predicted(g, x, streams, il)
    active = _slice(g, predictions, _ACTIVE)
    cur = g.normed(active, "attn_norm", il)
    laurel = g.mm(g.w("laurel_r", il), g.mm(g.w("laurel_l", il), cur))
    laurel = g.add(g.normed(laurel, "laurel_post_norm", il), cur)
    cur = g.add(g.normed(_attention(g, inp, cur, il), "post_attention_norm", il), active)
    both = g.scale(g.add(cur, laurel))
    cur = g.normed(both, "ffn_norm", il)
    gate, up = g.mm(g.w("ffn_gate", il), cur), g.mm(g.w("ffn_up", il), cur)
    if il < _SPARSE_BLOCKS:
        gate = _sparse(g, gate)
    cur = g.mm(g.w("ffn_down", il), g.mul(up, g.unary("gelu", gate)))
    cur = g.add(g.build_norm(cur, g.w("post_ffw_norm", il), -1), both)
    corrected = _corrected(g, predictions, cur, streams, il)
    first = g.mul(_slice(g, corrected, _ACTIVE), g.need("altup_correct_scale", il))
    first = g.unary("gelu", g.mm(g.w("inp_gate", il), first))
    first = g.mm(g.w("proj", il), g.mul(first, _slice(g, inp.per_block, il)))
    first = g.normed(first, "post_norm", il)
    rest = g.view(corrected, (n, tokens, streams - 1), corrected.nb[:3], corrected.nb[2])
    return g.concat(_slice(g, corrected, 0), g.add(rest, first), 2)


def _sparse(g: Build, x: Node) -> Node:
    """gaussian_topk: what lies far above the mean stays."""
    mean = g.mean(x)
    deviation = g.sqrt(g.scale(g.sum_rows(g.sqr(g.sub(x, mean)))))
    return g.unary("relu", g.sub(x, g.add(mean, g.scale(deviation))))


def _attention(g: Build, inp: _Inputs, cur: Node, il: int) -> Node:
    x = g.layer(il)
    if x.has_cache:
        q, k, v = qkv(g, cur, il)
        q, k, v = g.normed(q, "attn_q_norm", il), g.normed(k, "attn_k_norm", il), g.rms_norm(v)
        return attend(g, inp.caches, il, g.rope(q, inp.pos), g.rope(k, inp.pos), v)
    fused = g.w("attn_qkv", il)
    if fused is not None:
        mixed = g.mm(fused, cur)
        q = g.cont(g.view(mixed, (x.head_k * x.n_head, g.tokens), mixed.nb[:2]))
    else:
        q = g.mm(g.w("attn_q", il), cur)
    q = g.normed(g.reshape(q, x.head_k, x.n_head, g.tokens), "attn_q_norm", il)
    own = sum(layer.has_cache for layer in g.model.layers)
    # the last block of its kind that has a cache (llama-model.cpp, create_memory)
    return attend(g, inp.caches, il, g.rope(q, inp.pos), None, None, source=own - (2 if x.is_swa else 1))


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
