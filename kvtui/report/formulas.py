"""Each cache figure as a formula with its numbers filled in, and what the same context would take without GQA or MLA."""

from collections import Counter
from collections.abc import Iterator

from kvtui.cache.layout import F32_BYTES, CacheLayout, LayerCache, cache_layout, draft_layout, rollback_rows
from kvtui.flags.cache_types import CACHE_TYPES, CacheType
from kvtui.flags.context import ContextParams
from kvtui.model.spec import ModelSpec


def explain_lines(model: ModelSpec, ctx: ContextParams) -> list[str]:
    """`K: 61 blocks x 132,096 cells x 576 values x 34/32 B = 4,701.0 MiB`, a line a kind of block."""
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    lines = list(_caches(model, cache_layout(model, ctx), k, v))
    kept = rollback_rows(model, ctx)
    if kept and model.recurrent:
        lines.append(f"(states: {ctx.slots} slots x (1 + {kept} kept while drafting))")
    if model.mtp:
        lines.append("beside them, the MTP context that drafts:")
        lines += [f"  {line}" for line in _caches(model, draft_layout(model, ctx), CACHE_TYPES["f16"], CACHE_TYPES["f16"])]
    blocks, tokens = model.n_layer, ctx.n_ctx or model.n_ctx_train
    full = 2 * blocks * model.n_embd * tokens * 2
    lines.append(
        f"without GQA, MLA or a window: 2 x {blocks} blocks x {model.n_embd:,} values x {tokens:,} tokens x 2 B "
        f"= {full / 2**30:,.1f} GiB at f16"
    )
    return lines


def _caches(model: ModelSpec, layout: CacheLayout, k: CacheType, v: CacheType) -> Iterator[str]:
    kinds: Counter[tuple[LayerCache, bool]] = Counter()
    for cache, layer in zip(layout.layers, model.layers, strict=True):
        kinds[cache, layer.is_swa and not layer.compress_ratio] += 1
    for (cache, slides), count in kinds.items():
        if cache.k_bytes:
            note = f" (window of {model.n_swa:,} tokens)" if slides else ""
            yield _formula("K", count, cache.cells, cache.k_values, k, cache.k_bytes) + note
            if cache.v_values:
                yield _formula("V", count, cache.cells, cache.v_values, v, cache.v_bytes) + note
            else:
                yield "V: none, it is read out of K"
        if cache.index_k_values:
            name = "compressed K" if model.family.memory == "dsv4" else "indexer K"
            k_bytes = cache.index_cells * k.row_bytes(cache.index_k_values)
            yield _formula(name, count, cache.index_cells, cache.index_k_values, k, k_bytes)
            if cache.index_v_values:
                v_bytes = cache.index_bytes - k_bytes
                yield _formula("indexer V", count, cache.index_cells, cache.index_v_values, v, v_bytes)
        if cache.state_bytes:
            yield (
                f"state: {_blocks(count)} x {cache.states:,} states x {cache.state_values:,} values x {F32_BYTES} B "
                f"= {_mib(count * cache.state_bytes)}"
            )


def _formula(name: str, count: int, cells: int, values: int, cache_type: CacheType, n_bytes: int) -> str:
    size = f"{cache_type.block_bytes}/{cache_type.block_values} B" if cache_type.quantized else f"{cache_type.block_bytes} B"
    return f"{name}: {_blocks(count)} x {cells:,} cells x {values:,} values x {size} = {_mib(count * n_bytes)}"


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB"


def _blocks(count: int) -> str:
    return f"{count} block{'' if count == 1 else 's'}"
