"""How many operations a block's graph has: what a device spends on starting them is part of a token's time."""

from functools import lru_cache

from kvtui.base.build import DEFAULT_BUILD
from kvtui.flags.context import ContextParams
from kvtui.memory.compute.build import MissingTensorError, NoGraphError
from kvtui.memory.compute.collapse import kinds, representatives
from kvtui.memory.compute.graphs import build_graph, covered
from kvtui.memory.compute.shapes import shapes
from kvtui.model.spec import ModelSpec

_SMALL = ContextParams(n_ctx=256, n_parallel=1, flash_attn="on")  # the number of operations does not depend on it
_USUAL = 30.0  # operations a block, between a dense block's 20 and a hybrid's 60, where no graph is known


@lru_cache(maxsize=16)
def operations_a_block(model: ModelSpec) -> float:
    """Operations of a token's graph, views not counted, on average over the blocks."""
    if model.refusal is not None or not covered(model):  # no graph is built of what is not loaded
        return _USUAL
    flash = not model.family.no_flash_attention
    chosen = representatives([kind.shape for kind in kinds(model)])
    try:
        graph = build_graph(model, shapes(model, _SMALL, flash, False, True, DEFAULT_BUILD), chosen)
    except (MissingTensorError, NoGraphError):  # such a file is refused: whatever is said of its speed
        return _USUAL
    return len(graph.work) / len(chosen)
