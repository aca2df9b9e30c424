"""The memory a model's caches take, block by block, to the byte.

src/llama-kv-cache.cpp (llama_kv_cache), llama-kv-cache-iswa.cpp, -dsa.cpp, -dsa-iswa.cpp, -msa.cpp, -dsv4.cpp,
llama-memory-recurrent.cpp, llama-memory-hybrid-idx.cpp: the constructors."""

from dataclasses import dataclass
from functools import lru_cache

from kvtui.cache.context import ContextParams, pad256
from kvtui.cache.types import CACHE_TYPES, CacheType
from kvtui.model.spec import Layer, ModelSpec

F32_BYTES = 4
_CSA_RATIO, _HCA_RATIO = 4, 128  # src/llama-kv-cache-dsv4.cpp


@dataclass(frozen=True)
class LayerCache:
    """One block's caches. `cells` counts all streams together; bytes of all cells."""

    cells: int = 0
    k_bytes: int = 0
    v_bytes: int = 0
    index_bytes: int = 0  # indexer and compressed caches
    state_bytes: int = 0  # recurrent state and compressor states
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

    @property
    def layer_bytes(self) -> tuple[int, ...]:
        """K/V and indexer bytes a block."""
        return tuple(x.cache_bytes for x in self.layers)

    @property
    def recurrent_bytes(self) -> tuple[int, ...]:
        """Bytes of recurrent state a block."""
        return tuple(x.state_bytes for x in self.layers)

    @property
    def cache_bytes(self) -> int:
        """K/V and indexers of all blocks."""
        return sum(x.cache_bytes for x in self.layers)

    @property
    def state_bytes(self) -> int:
        """Recurrent state of all blocks."""
        return sum(x.state_bytes for x in self.layers)


def flash_attention(model: ModelSpec, ctx: ContextParams) -> bool:
    """Whether llama.cpp runs with flash attention; `auto` is on where nothing forbids it (src/llama-context.cpp)."""
    return ctx.flash_attn != "off" and not model.family.no_flash_attention


def physical_batch(model: ModelSpec, ctx: ContextParams) -> int:
    """n_ubatch: at most n_batch, itself at most n_ctx before padding (src/llama-context.cpp, llama_context)."""
    n_batch = min(ctx.n_batch, ctx.n_ctx or model.n_ctx_train)
    return min(n_batch, ctx.n_ubatch or n_batch)


def cache_layout(model: ModelSpec, ctx: ContextParams) -> CacheLayout:
    """Caches of `model` under `ctx`."""
    size = ctx.cells_per_slot(model.n_ctx_train)  # n_ctx_seq
    streams = 1 if ctx.unified else ctx.slots
    per_window = model.n_swa * (ctx.slots if ctx.unified else 1)
    if model.family.memory == "dsv4":
        streams, per_window = ctx.slots, model.n_swa
    window = size if ctx.swa_full else pad256(min(size, per_window + physical_batch(model, ctx)))
    rows = ctx.slots * (1 + rollback_rows(model, ctx))
    v_rows = 0 if flash_attention(model, ctx) else model.n_embd_v_gqa_max
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    kinds: dict[tuple[object, ...], LayerCache] = {}
    layers = []
    for layer, kind in zip(model.layers, _kinds(model), strict=True):
        if kind not in kinds:
            kinds[kind] = _layer(model, layer, size, window, streams, rows, v_rows, k, v)
        layers.append(kinds[kind])
    return CacheLayout(
        tuple(layers),
        cells=ctx.cells(model.n_ctx_train),
        swa_cells=window * streams if model.n_swa else 0,
        streams=streams,
    )


def rollback_rows(model: ModelSpec, ctx: ContextParams) -> int:
    """n_rs_seq: rows kept to take back drafted tokens (common/speculative.cpp, src/llama-context.cpp)."""
    return (ctx.n_draft or 0) if model.mtp and model.recurrent else 0


@lru_cache(maxsize=8)
def _kinds(model: ModelSpec) -> tuple[tuple[object, ...], ...]:
    """What tells the caches of one block from another's: equal blocks are computed once."""
    return tuple(
        (x.has_cache, x.is_swa, x.n_embd_k_gqa, x.n_embd_v_gqa, x.index_k, x.index_v, x.state, x.compress_ratio)
        for x in model.layers
    )


def _layer(
    model: ModelSpec,
    layer: Layer,
    size: int,
    window: int,
    streams: int,
    rows: int,
    v_rows: int,
    k: CacheType,
    v: CacheType,
) -> LayerCache:
    state = layer.state * F32_BYTES * rows
    if not layer.has_cache:
        return LayerCache(state_bytes=state)
    cells = (window if layer.is_swa else size) * streams
    k_only = model.is_mla or model.family.memory == "dsv4"
    k_row = k.row_bytes(layer.n_embd_k_gqa)
    v_row = 0 if k_only else v.row_bytes(v_rows or layer.n_embd_v_gqa)
    index = 0
    read = cells * (k_row + v_row)
    if layer.compress_ratio:
        index, compressed_state = _compressed(model, layer, size, streams, rows, k)
        state += compressed_state
        read += index
    elif layer.index_k:
        index_v = v.row_bytes(layer.index_v) if not k_only else 0
        index = cells * (k.row_bytes(layer.index_k) + index_v)
        read = index + min(cells, model.top_k * streams or cells) * (k_row + v_row)
    return LayerCache(cells, cells * k_row, cells * v_row, index, state, read)


def _compressed(model: ModelSpec, layer: Layer, size: int, streams: int, rows: int, k: CacheType) -> tuple[int, int]:
    """(bytes of deepseek4's compressed and indexer caches, of its compressor states) of one block:
    llama-kv-cache-dsv4.cpp, llama_kv_cache_dsv4 and llama_dsv4_comp_state."""
    ratio = layer.compress_ratio
    cells = pad256(max(1, -(-size // ratio))) * streams
    head = layer.head_k
    if ratio == _HCA_RATIO:
        return cells * k.row_bytes(layer.n_embd_k_gqa), 2 * rows * F32_BYTES * ratio * head
    caches = cells * (k.row_bytes(layer.n_embd_k_gqa) + k.row_bytes(layer.index_k))
    return caches, 2 * rows * F32_BYTES * 2 * ratio * 2 * (head + layer.index_k)
