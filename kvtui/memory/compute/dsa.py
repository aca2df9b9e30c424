"""Sparse attention by an indexer: it scores every cell and the best stay unmasked (src/llama-graph.cpp,
build_attn_inp_k_dsa; src/models/deepseek32.cpp, glm-dsa.cpp, hy-v4.cpp)."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import Caches
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.mla import k_cache
from kvtui.memory.compute.support import INDEXED_HEADS, INDEXED_VALUES
from kvtui.memory.compute.tape import F16, F32, I64, Dtype, Node
from kvtui.model.spec import ModelSpec

_KERNEL_TYPES = frozenset(("f32", "bf16", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"))
_TURNED_VALUES = 64  # llama-kv-cache.cpp: the smallest matrix that keys are turned by


@dataclass(frozen=True)
class Indexer:
    """Inputs of the indexer's cache of keys."""

    k_ids: Node
    mask: Node
    rotation: Node


@dataclass(frozen=True)
class Sparse:
    """llm_graph_input_attn_k_dsa."""

    caches: Caches
    indexer: Indexer


def sparse(g: Build, window: bool = False) -> Sparse:
    """build_attn_inp_k_dsa, or with `window` build_attn_inp_k_dsa_iswa."""
    at, values = g.at, int(g.number("attention.indexer.key_length"))
    side = max(_TURNED_VALUES, values & -values)  # the largest power of two that divides them
    full = k_cache(g)
    ids = g.input(I64, at.tokens, name="k_idxs")
    dtype = F16 if in_one(g, at.type_k) else F32
    mask = g.input(dtype, at.cells, at.tokens // at.streams, 1, at.streams, name="indexer mask")
    rotation = g.input(F32, side, side, name="indexer_k_rot")
    return Sparse(k_cache(g, full) if window else full, Indexer(ids, mask, rotation))


def reads_of_its_own(model: ModelSpec, type_k: Dtype) -> bool:
    """Whether an indexer's keys of this type are read by other operations than those of most."""
    return f"{model.architecture}.attention.indexer.key_length" in model.header.metadata and type_k.name not in _KERNEL_TYPES


def in_one(g: Build, type_k: Dtype) -> bool:
    """fused_lid (lightning-indexer.cu, ggml_cuda_lightning_indexer_supported)."""
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    return values == INDEXED_VALUES and heads in INDEXED_HEADS and type_k.name in _KERNEL_TYPES


def top_k(g: Build, inp: Indexer, cur: Node, low: Node, pos: Node, il: int, turned: bool = True) -> Node:
    """The cells that a token reads. `low`: Q before its second projection; `turned`: whether keys are stored turned."""
    at = g.at
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    q = g.rope(g.reshape(g.mm(g.w("indexer.attn_q_b", il), low), values, heads, g.tokens), pos)
    k = g.normed(g.mm(g.w("indexer.attn_k", il), cur), "indexer.k_norm", il, "norm")
    k = g.rope(g.reshape(k, values, 1, g.tokens), pos)
    if turned:
        q, k = g.mul_mat(inp.rotation, q), g.mul_mat(inp.rotation, k)
    cache = g.cached("i", il, at.type_k, values, at.cells, at.streams)
    into = g.reshape(cache, values, at.cells * at.streams) if at.streams > 1 else cache
    g.expand(g.set_rows(into, g.view(k, (values, g.tokens), (4, k.nb[2])), inp.k_ids))
    return picked(g, q, g.mm(g.w("indexer.proj", il), cur), cache, inp.mask)


def picked(g: Build, q: Node, weights: Node, cache: Node, mask: Node) -> Node:
    """The best cells by the heads' weighted scores. `cache`: [values, cells, streams]."""
    at, (values, heads), cells = g.at, q.ne[:2], cache.ne[1]
    row = at.type_k.row_bytes(values)
    keys = g.view(cache, (values, 1, cells, at.streams), (cache.nb[0], row, row, at.type_k.row_bytes(values * cells)))
    each = g.tokens // at.streams
    q = g.view(q, (values, heads, each, at.streams), (*q.nb[:3], q.nb[3] // at.streams))
    weights = g.view(
        weights, (heads, each, 1, at.streams), (*weights.nb[:2], weights.nb[2] // at.streams, weights.nb[3] // at.streams)
    )
    weights = g.scale(weights)
    if in_one(g, at.type_k):
        score = g.lightning_indexer(q, keys, weights, mask)
    else:
        score = g.mul_mat(g.permute(keys, 0, 2, 1, 3), g.permute(q, 0, 2, 1, 3))
        score = g.unary("relu", g.cont(g.permute(score, 2, 1, 0, 3)))
        score = g.sum_rows(g.mul(score, weights))
        score = g.add(g.cont(g.permute(score, 2, 1, 0, 3)), mask)
    score.name = "indexer's scores"
    return g.cont(g.top_k(score, min(score.ne[0], int(g.number("attention.indexer.top_k")))))


def repeats(_: ModelSpec) -> bool:
    """Not here: every block's zeros are placed before anything else (`unmasked`)."""
    return False


def unmasked(g: Build, mask: Node, chosen: Node, dtype: Dtype = F32) -> Node:
    """The mask with only the chosen cells left open (build_attn of llm_graph_input_attn_k_dsa). `dtype`: of the zeros that
    are put there."""
    cells, each, _, streams = mask.ne
    closed = g.fill(mask)
    rows = g.view(closed, (1, cells, each, streams), (closed.nb[0], closed.nb[0], closed.nb[1], closed.nb[3]))
    picks = chosen.ne[0]
    ids = g.view(chosen, (picks, each, streams, 1), (4, chosen.nb[1], chosen.nb[2], streams * chosen.nb[3]))
    zeros = g.fill(g.new(dtype, 1, picks, each, streams))
    opened = g.set_rows(rows, zeros, ids)
    opened = g.view(opened, mask.ne, (opened.nb[0], opened.nb[2], opened.nb[3], opened.nb[3]))
    return g.add(opened, mask)
