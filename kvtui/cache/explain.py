"""Each cache figure as a formula with its numbers filled in, and what the same context would take without GQA or MLA."""

from collections import Counter

from kvtui.cache.context import ContextParams
from kvtui.cache.layout import cache_layout
from kvtui.cache.types import CACHE_TYPES, CacheType
from kvtui.model.spec import ModelSpec


def explain_lines(model: ModelSpec, ctx: ContextParams) -> list[str]:
    """`K: 61 blocks x 132,096 cells x 576 values x 34/32 B = 4,701.0 MiB`, a line a kind of block."""
    layout = cache_layout(model, ctx)
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    kinds = Counter(
        (x.cells, layer.n_embd_k_gqa, layer.n_embd_v_gqa if x.v_bytes else 0, layer.is_swa, x.k_bytes, x.v_bytes)
        for x, layer in zip(layout.layers, model.layers, strict=True)
        if x.k_bytes
    )
    lines = []
    for (cells, k_values, v_values, slides, k_bytes, v_bytes), count in kinds.items():
        what = f" (window {model.n_swa:,})" if slides else ""
        lines.append(_formula("K", count, cells, k_values, k, k_bytes) + what)
        if v_values:
            lines.append(_formula("V", count, cells, v_values, v, v_bytes) + what)
        else:
            lines.append("V: none: MLA reads it out of K")
    index = sum(x.index_bytes for x in layout.layers)
    if index:
        lines.append(f"indexer caches: {index / 2**20:,.1f} MiB")
    if layout.state_bytes:
        lines.append(f"recurrent state: {layout.state_bytes / 2**20:,.1f} MiB, f32, {ctx.slots} slots")
    tokens = ctx.n_ctx or model.n_ctx_train
    full = 2 * model.n_layer_all * model.n_embd * tokens * 2
    lines.append(f"without GQA or MLA: {full / 2**30:,.1f} GiB at f16")
    lines.append(f"  = 2 x {model.n_layer_all} blocks x {model.n_embd:,} values x {tokens:,} tokens x 2 B")
    return lines


def _formula(letter: str, count: int, cells: int, values: int, cache_type: CacheType, n_bytes: int) -> str:
    size = f"{cache_type.block_bytes}/{cache_type.block_values} B" if cache_type.quantized else f"{cache_type.block_bytes} B"
    return f"{letter}: {count} blocks x {cells:,} cells x {values:,} values x {size} = {count * n_bytes / 2**20:,.1f} MiB"
