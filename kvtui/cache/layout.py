"""The memory a model's caches take, block by block, to the byte.

src/llama-kv-cache.cpp (llama_kv_cache), llama-kv-cache-iswa.cpp, -dsa.cpp, -dsa-iswa.cpp, -msa.cpp, -dsv4.cpp,
llama-memory-recurrent.cpp, llama-memory-hybrid-idx.cpp: the constructors."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from kvtui.base.sizes import F32_BYTES
from kvtui.flags.cache_types import CACHE_TYPES, CacheType
from kvtui.flags.context import ContextParams, pad256
from kvtui.model.blocks import CSA_RATIO, HCA_RATIO
from kvtui.model.spec import Layer, ModelSpec

DEFAULT_DRAFT = 3  # common/common.h, common_params_speculative_draft: n_max
# common/common.h, need_n_rs_seq: the --spec-type that draft a few tokens and may take them back
_ROLLS_BACK = frozenset(("draft-mtp", "draft-eagle3", "draft-dflash", "draft-dspark"))


@dataclass(frozen=True)
class LayerCache:
    """One block's caches. `cells` counts all streams together, the values are those of one cell; bytes of all cells."""

    cells: int = 0
    k_values: int = 0
    v_values: int = 0  # 0: no V, MLA reads it out of K
    k_bytes: int = 0
    v_bytes: int = 0
    index_bytes: int = 0  # indexer and compressed caches
    index_cells: int = 0
    index_k_values: int = 0  # in the K type
    index_v_values: int = 0  # in the V type
    state_bytes: int = 0  # recurrent state and compressor states
    states: int = 0  # each of `state_values` f32 values
    state_values: int = 0
    read_bytes: int = 0  # what a token at full context reads of the caches

    @property
    def cache_bytes(self) -> int:
        """K, V and indexers."""
        return self.k_bytes + self.v_bytes + self.index_bytes


@dataclass(frozen=True)
class CacheLayout:
    """All blocks' caches; `layers` has n_layer_all entries."""

    layers: tuple[LayerCache, ...]
    cells: int  # n_ctx, all slots
    swa_cells: int  # cells of the window's cache, all streams; 0 without one
    streams: int

    @cached_property
    def layer_bytes(self) -> tuple[int, ...]:
        """K/V and indexer bytes a block."""
        return tuple(x.cache_bytes for x in self.layers)

    @cached_property
    def recurrent_bytes(self) -> tuple[int, ...]:
        """Bytes of recurrent state a block."""
        return tuple(x.state_bytes for x in self.layers)

    @property
    def cache_bytes(self) -> int:
        """K/V and indexers of all blocks."""
        return sum(self.layer_bytes)

    @property
    def state_bytes(self) -> int:
        """Recurrent state of all blocks."""
        return sum(self.recurrent_bytes)


@dataclass(frozen=True)
class _Sizes:
    """What all blocks of one context share. A cell is one token of one slot, or of all slots where they are unified."""

    full: int  # cells a stream, n_ctx_seq
    window: int  # cells a stream of the sliding window's cache
    streams: int
    states: int  # recurrent states a block: slots x (1 + n_rs_seq)
    v_values: int  # V rows padded to this many values; 0: as wide as the block's V
    k_only: bool
    k: CacheType
    v: CacheType


def flash_attention(model: ModelSpec, ctx: ContextParams) -> bool:
    """Whether llama.cpp runs with flash attention; `auto` is on where nothing forbids it (src/llama-context.cpp)."""
    return ctx.flash_attn != "off" and not model.family.no_flash_attention


def physical_batch(model: ModelSpec, ctx: ContextParams) -> int:
    """n_ubatch: at most n_batch, itself at most n_ctx before padding (src/llama-context.cpp, llama_context)."""
    n_batch = min(ctx.n_batch, ctx.n_ctx or model.n_ctx_train) if model.is_causal else ctx.n_batch
    return min(n_batch, ctx.n_ubatch or n_batch)


def rollback_rows(model: ModelSpec, ctx: ContextParams) -> int:
    """n_rs_seq: recurrent states kept to take back drafted tokens (common/common.h, need_n_rs_seq; llama_context)."""
    if not model.family.rollback or _ROLLS_BACK.isdisjoint(ctx.spec_types):
        return 0
    return DEFAULT_DRAFT if ctx.n_draft is None else ctx.n_draft


@lru_cache(maxsize=256)
def cache_layout(model: ModelSpec, ctx: ContextParams) -> CacheLayout:
    """Caches of `model`'s main context under `ctx`; what drafting adds is draft_layout."""
    # llama_kv_cache_dsv4 keeps a stream a sequence even when the slots are unified
    unified = ctx.unified and model.family.memory != "dsv4"
    k_only = model.is_mla or model.family.memory == "dsv4"
    sizes = _sizes(model, ctx, unified, k_only, ctx.type_k, ctx.type_v)
    kinds, index = _kinds(model)
    caches = [_layer(model, layer, sizes) for layer in kinds]
    return CacheLayout(
        tuple([caches[i] for i in index]),
        cells=ctx.cells(model.n_ctx_train),
        swa_cells=sizes.window * sizes.streams if model.n_swa else 0,
        streams=sizes.streams,
    )


def draft_layout(model: ModelSpec, ctx: ContextParams, type_k: str = "f16", type_v: str = "f16") -> CacheLayout:
    """Caches of the MTP context that --spec-type draft-mtp opens beside the main one (create_memory, ctx_type MTP): as
    many cells, types of their own (-ctkd, -ctvd). No bytes where no MTP block is loaded."""
    sizes = _sizes(model, ctx, ctx.unified, model.is_mla, type_k, type_v)
    layers = [
        _with_index(_attention(layer, sizes), layer.draft_index_k, 0, sizes) if layer.drafts else LayerCache()
        for layer in model.layers
    ]
    return CacheLayout(
        tuple(layers),
        cells=ctx.cells(model.n_ctx_train),
        swa_cells=sizes.window * sizes.streams if model.n_swa else 0,
        streams=sizes.streams,
    )


def _sizes(model: ModelSpec, ctx: ContextParams, unified: bool, k_only: bool, type_k: str, type_v: str) -> _Sizes:
    full = ctx.cells_per_slot(model.n_ctx_train)
    window = full
    if not ctx.swa_full:
        window = pad256(min(full, model.n_swa * (ctx.slots if unified else 1) + physical_batch(model, ctx)))
    return _Sizes(
        full=full,
        window=window,
        streams=1 if unified else ctx.slots,
        states=ctx.slots * (1 + rollback_rows(model, ctx)),
        v_values=0 if flash_attention(model, ctx) else model.n_embd_v_gqa_max,
        k_only=k_only,
        k=CACHE_TYPES[type_k],
        v=CACHE_TYPES[type_v],
    )


@lru_cache(maxsize=8)
def _kinds(model: ModelSpec) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """(one block of each kind, the kind of every block): blocks whose caches are equal are computed once."""
    kinds: dict[Layer, int] = {}
    index = []
    for x in model.layers:
        trunk = x.index < model.n_layer
        kind = replace(x, index=0 if trunk else model.n_layer, n_head=0, n_ff=0, loaded=True, drafts=False, draft_index_k=0)
        index.append(kinds.setdefault(kind, len(kinds)))
    return tuple(kinds), tuple(index)


def _layer(model: ModelSpec, layer: Layer, sizes: _Sizes) -> LayerCache:
    if layer.compress_ratio:
        return _compressed(model, layer, sizes)
    cache = _with_index(_attention(layer, sizes), layer.index_k, layer.index_v, sizes) if layer.has_cache else LayerCache()
    if layer.is_sparse and 0 < model.top_k * sizes.streams < cache.cells:
        row = (cache.k_bytes + cache.v_bytes) // cache.cells
        cache = replace(cache, read_bytes=cache.index_bytes + model.top_k * sizes.streams * row)
    return _with_state(cache, layer.state, sizes.states) if layer.state else cache


def _attention(layer: Layer, sizes: _Sizes) -> LayerCache:
    """K and V of one block (llama_kv_cache)."""
    cells = (sizes.window if layer.is_swa else sizes.full) * sizes.streams
    v_values = 0 if sizes.k_only else sizes.v_values or layer.n_embd_v_gqa
    k_bytes, v_bytes = cells * sizes.k.row_bytes(layer.n_embd_k_gqa), cells * sizes.v.row_bytes(v_values)
    return LayerCache(
        cells=cells,
        k_values=layer.n_embd_k_gqa,
        v_values=v_values,
        k_bytes=k_bytes,
        v_bytes=v_bytes,
        read_bytes=k_bytes + v_bytes,
    )


def _with_index(cache: LayerCache, index_k: int, index_v: int, sizes: _Sizes) -> LayerCache:
    """An indexer's cache beside `cache`, as many cells."""
    if not index_k:
        return cache
    index_v = 0 if sizes.k_only else index_v
    index = cache.cells * (sizes.k.row_bytes(index_k) + sizes.v.row_bytes(index_v))
    return replace(
        cache,
        index_bytes=index,
        index_cells=cache.cells,
        index_k_values=index_k,
        index_v_values=index_v,
        read_bytes=cache.read_bytes + index,
    )


def _with_state(cache: LayerCache, values: int, states: int) -> LayerCache:
    return replace(cache, state_bytes=states * values * F32_BYTES, states=states, state_values=values)


def _compressed(model: ModelSpec, layer: Layer, sizes: _Sizes) -> LayerCache:
    """deepseek4: beside the raw window a compressed cache, or one with an indexer's, and the compressors' states
    (llama-kv-cache-dsv4.cpp, llama_kv_cache_dsv4 and llama_dsv4_comp_state)."""
    raw, ratio, head = _attention(layer, sizes), layer.compress_ratio, layer.head_k
    cells = pad256(max(1, -(-sizes.full // ratio))) * sizes.streams
    if ratio == CSA_RATIO:
        index_k, picked, state = (
            layer.index_k,
            min(cells, model.top_k * sizes.streams or cells),
            2 * ratio * 2 * (head + layer.index_k),
        )
    else:
        assert ratio == HCA_RATIO
        index_k, picked, state = 0, cells, ratio * head
    row, index_row = sizes.k.row_bytes(raw.k_values), sizes.k.row_bytes(index_k)
    cache = replace(
        raw,
        index_bytes=cells * (row + index_row),
        index_cells=cells,
        index_k_values=raw.k_values + index_k,
        read_bytes=raw.k_bytes + cells * index_row + picked * row,
    )
    # a state of keys and one of scores; MTP blocks have none
    return _with_state(cache, 2 * state, sizes.states) if layer.index < model.n_layer else cache
