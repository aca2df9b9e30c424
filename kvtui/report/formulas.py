"""Each cache figure as a formula with its numbers filled in, and what the same context would take without GQA or MLA."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from kvtui.base.sizes import F32_BYTES, GIB, MIB
from kvtui.cache.layout import CacheLayout, LayerCache, cache_layout, draft_layout, rollback_rows
from kvtui.flags.beside import BesideFlags
from kvtui.flags.cache_types import CACHE_TYPES, CacheType
from kvtui.flags.context import ContextParams
from kvtui.model.spec import ModelSpec


def explain_lines(model: ModelSpec, ctx: ContextParams, beside: BesideFlags | None = None) -> list[str]:
    """`K: 61 blocks x 132,096 cells x 576 values x 34/32 B = 4,701.0 MiB`, a line a kind of block."""
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    beside = beside or BesideFlags()
    lines = [str(f) for f in cache_formulas(model, cache_layout(model, ctx), k, v)]
    kept = rollback_rows(model, ctx)
    if kept and model.recurrent:
        lines.append(f"(states: {ctx.slots} slots x (1 + {kept} kept while drafting))")
    if model.mtp and beside.draft is None:
        lines.append("beside them, the MTP context that drafts:")
        types = (beside.draft_type_k, beside.draft_type_v)
        layout = draft_layout(model, ctx, *types)
        lines += [f"  {f}" for f in cache_formulas(model, layout, *(CACHE_TYPES[t] for t in types))]
    blocks, tokens = model.n_layer, ctx.n_ctx or model.n_ctx_train
    full = 2 * blocks * model.n_embd * tokens * 2
    lines.append(
        f"without GQA, MLA or a window: 2 x {blocks} blocks x {model.n_embd:,} values x {tokens:,} tokens x 2 B "
        f"= {full / GIB:,.1f} GiB at f16"
    )
    return lines


@dataclass(frozen=True)
class Formula:
    """`count` blocks' figure: count x cells x values x block_bytes / block_values, bytes. `note`: what more is to be said."""

    what: str
    count: int
    cells: int
    values: int
    block_bytes: int
    block_values: int
    n_bytes: int
    cell: str = "cells"
    note: str = ""

    def __str__(self) -> str:
        if not self.values:
            return f"{self.what}: none, it is read out of K"
        size = f"{self.block_bytes}/{self.block_values} B" if self.block_values > 1 else f"{self.block_bytes} B"
        blocks = f"{self.count} block{'' if self.count == 1 else 's'}"
        factors = f"{blocks} x {self.cells:,} {self.cell} x {self.values:,} values x {size}"
        return f"{self.what}: {factors} = {self.n_bytes / MIB:,.1f} MiB{self.note}"


def cache_formulas(model: ModelSpec, layout: CacheLayout, k: CacheType, v: CacheType) -> Iterator[Formula]:
    """A formula a kind of block and cache, whose bytes add up to the layout's."""
    kinds: Counter[tuple[LayerCache, bool]] = Counter()
    for cache, layer in zip(layout.layers, model.layers, strict=True):
        kinds[cache, layer.is_swa and not layer.compress_ratio] += 1
    for (cache, slides), count in kinds.items():
        if cache.k_bytes:
            note = f" (window of {model.n_swa:,} tokens)" if slides else ""
            yield _formula("K", count, cache.cells, cache.k_values, k, cache.k_bytes, note)
            yield _formula("V", count, cache.cells, cache.v_values, v, cache.v_bytes, note)
        if cache.index_k_values:
            name = "compressed K" if model.family.memory == "dsv4" else "indexer K"
            k_bytes = cache.index_cells * k.row_bytes(cache.index_k_values)
            yield _formula(name, count, cache.index_cells, cache.index_k_values, k, k_bytes)
            if cache.index_v_values:
                v_bytes = cache.index_bytes - k_bytes
                yield _formula("indexer V", count, cache.index_cells, cache.index_v_values, v, v_bytes)
        if cache.state_bytes:
            n_bytes = count * cache.state_bytes
            yield Formula("state", count, cache.states, cache.state_values, F32_BYTES, 1, n_bytes, cell="states")


def _formula(what: str, count: int, cells: int, values: int, kind: CacheType, n_bytes: int, note: str = "") -> Formula:
    return Formula(what, count, cells, values, kind.block_bytes, kind.block_values, count * n_bytes, note=note)


def explain_json(model: ModelSpec, ctx: ContextParams) -> list[dict[str, Any]]:
    """The formulas of the main context's caches, for programs; bytes."""
    formulas = cache_formulas(model, cache_layout(model, ctx), CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v])
    return [asdict(f) | {"note": f.note.strip(" ()")} for f in formulas]
