"""All pairs of K and V as a square, shaded by what their cache takes: where the selected one stands among them."""

from dataclasses import replace
from functools import lru_cache

from kvtui.base.build import Build
from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.memory.refusals import refusals
from kvtui.model.spec import ModelSpec
from kvtui.tui.lines import Line, Span, line
from kvtui.tui.state import State

_LABEL, _CELL = 8, 3
MATRIX_WIDTH = _LABEL + _CELL * len(CACHE_TYPES) + 1
MATRIX_HEIGHT = len(CACHE_TYPES) + 3
_SHORT = {"iq4_nl": "nl", "bf16": "bf"}


_SMALL, _MIDDLE = 0.35, 0.6  # of f16/f16: where a share is drawn as small, and as middling


def matrix_lines(state: State) -> list[Line]:
    """K down, V across; the percentage of f16/f16 that each takes, a dash where it is refused, the selected one marked."""
    context = state.request.context
    shares = _shares(state.request.model, replace(context, type_k="f16", type_v="f16"), state.request.build)
    heads = "".join(f"{_SHORT.get(n, n.replace('_', ''))[:_CELL]:>{_CELL}}" for n in CACHE_TYPES)
    lines = [line((" K \\ V".ljust(_LABEL), "dim"), (heads, "dim"))]
    for k in CACHE_TYPES:
        spans: list[Span] = [(f" {k:{_LABEL - 1}}", "strong" if k == context.type_k else "dim")]
        spans += [_cell(shares[k, v], (k, v) == (context.type_k, context.type_v)) for v in CACHE_TYPES]
        lines.append(tuple(spans))
    return [*lines, line((" cache, % of f16/f16; - refused", "dim"))]


@lru_cache(maxsize=8)
def _shares(model: ModelSpec, context: ContextParams, build: Build) -> dict[tuple[str, str], float | None]:
    """Cache of each pair over that of `context`'s; None: llama-server refuses it."""
    reference = cache_layout(model, context).cache_bytes
    found: dict[tuple[str, str], float | None] = {}
    for k in CACHE_TYPES:
        for v in CACHE_TYPES:
            trial = replace(context, type_k=k, type_v=v)
            refused = any(f.severity == "error" for f in refusals(model, trial, build))
            found[k, v] = None if refused or not reference else cache_layout(model, trial).cache_bytes / reference
    return found


def _cell(share: float | None, selected: bool) -> Span:
    text = "-" if share is None else f"{100 * share:.0f}"
    style = "dim" if share is None or share > 1 else "good" if share <= _SMALL else "kv" if share <= _MIDDLE else "text"
    return f"{text:>{_CELL}}", "cursor" if selected else style
