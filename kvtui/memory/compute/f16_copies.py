"""What kernels of flash attention read as f16 where the caches are of another type."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from kvtui.cache.kernels import Attention, Batch, Card, f16_copy_bytes
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.sched import Backends


def f16_copies(cards: Sequence[Card], g: Graph, homes: Sequence[int], ends: Backends) -> dict[tuple[int, int], int]:
    """(back end, attention) -> bytes that its kernel takes beside its output there. Where the cache is elsewhere, K and V
    are copied there one by one: V is no view of K any more (ggml-cuda/fattn-common.cuh,
    ggml_cuda_flash_attn_ext_get_f16_extra_data)."""
    found = {}
    for (attention, batch), ids in g.kernels.items():
        apart = replace(attention, v_in_k=False)
        for b in ends.fuses:
            near, far = (_copied(cards[b], a, batch) for a in (attention, apart))
            for i in ids if far else ():
                cache = g.roots[g.sources[i][1]]
                if more := far if cache >= 0 and homes[cache] != b else near:
                    found[b, i] = more
    return found


@lru_cache(maxsize=1024)
def _copied(card: Card, attention: Attention, batch: Batch) -> int:
    return f16_copy_bytes(card, attention, batch)
