"""What one graph is reserved for."""

from dataclasses import dataclass
from functools import lru_cache

from kvtui.base.build import DEFAULT_BUILD
from kvtui.base.build import Build as LlamaBuild
from kvtui.cache.layout import cache_layout, flash_attention, physical_batch, rollback_rows
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.memory.compute.tape import F16, F32, Dtype
from kvtui.model.spec import ModelSpec

_ENCODERS = frozenset(("t5", "t5encoder"))  # llama_model_has_encoder: every row is asked for (n_outputs_max)


@dataclass(frozen=True)
class Shapes:
    """What one reserved graph is for (src/llama-context.cpp, graph_reserve)."""

    tokens: int
    seqs: int
    outputs: int
    cells: int  # of a stream
    swa_cells: int
    streams: int
    slots: int  # that recurrent state is kept for: `seqs`, or more
    flash: bool
    transposed: bool  # how the cache holds V: without flash attention, where that was known before there was a cache
    type_k: Dtype
    type_v: Dtype
    snapshots: int  # recurrent states kept a slot: the present one, and those that drafting may go back to (n_rs_seq)
    embeddings: bool = False  # --embedding: rows are what is asked for
    pooling: str | None = None  # as asked for
    build: LlamaBuild = DEFAULT_BUILD


def shapes(
    model: ModelSpec, ctx: ContextParams, flash: bool, prompt: bool, alone: bool = False, build: LlamaBuild = DEFAULT_BUILD
) -> Shapes:
    """The prompt's graph, or the one of a token a slot, as `build` has it. `alone`: the prompt's is one slot's."""
    layout = cache_layout(model, ctx)
    seqs = 1 if alone else ctx.slots
    tokens = min(layout.cells, physical_batch(model, ctx)) if prompt else seqs
    outputs = tokens if ctx.all_rows or model.architecture in _ENCODERS else min(tokens, ctx.slots)
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    return Shapes(
        tokens=-(-tokens // seqs) * seqs,
        seqs=seqs,
        outputs=outputs,
        cells=ctx.cells_per_slot(model.n_ctx_train),
        swa_cells=layout.swa_cells // layout.streams,
        streams=1 if alone else layout.streams,
        slots=ctx.slots,
        flash=flash,
        transposed=not flash_attention(model, ctx),
        type_k=cache_dtype(k.name),
        type_v=cache_dtype(v.name),
        snapshots=1 + rollback_rows(model, ctx),
        embeddings=ctx.embeddings,
        pooling=ctx.pooling,
        build=build,
    )


@lru_cache(maxsize=32)
def cache_dtype(name: str) -> Dtype:
    """A type that caches can have, by its name."""
    known = {"f32": F32, "f16": F16}
    t = CACHE_TYPES[name]
    return known.get(name) or Dtype(name, t.block_values, t.block_bytes)
