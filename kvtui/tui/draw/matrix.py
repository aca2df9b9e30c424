"""All pairs of K and V as a square, shaded by a column of the table: where the selected one stands among them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from kvtui.base.build import Build
from kvtui.base.sizes import amount
from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.memory.refusals import refusals
from kvtui.model.spec import ModelSpec
from kvtui.report.columns import COMING, NONE, Column, column
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, line
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.table import PairRow

_LABEL, _CELL = 8, 3
MATRIX_WIDTH = _LABEL + _CELL * len(CACHE_TYPES) + 1
MATRIX_HEIGHT = len(CACHE_TYPES) + 3
_ROOMY_CELL, _WIDEST_CELL = 7, 12
_NARROW = {"iq4_nl": "nl", "bf16": "bf"}
_WORDS = {"True": "yes", "False": "no", "reference": "f16", "converted": "conv", "as f16": "=f16", "None": NONE}
_CODES = {"reference": "f16", "as f16": "=16", "good": "gd", "fair": "fr", "risky": "rsk", "fast": "own", "converted": "cnv"}
_SHADES = ("good", "kv", "text")  # the best third of those that are accepted, the next, the rest
_BY_BYTES = ("cache_bytes", "saved_fraction")  # known without a row
_SHARES = (*_BY_BYTES, "device_bytes", "max_context", "max_context_gpu", "tokens_per_second", "tokens_per_second_empty")
Pair = tuple[str, str]
ALL_PAIRS = tuple([(k, v) for k in CACHE_TYPES for v in CACHE_TYPES])


def square_column(state: State) -> Column:
    """What the square is shaded by: the column that sorts the table, else the cache."""
    return state.view.column or column(_BY_BYTES[0])


def needs_rows(state: State) -> bool:
    """Whether the square shows a figure that only an evaluated row has."""
    return square_column(state).key not in _BY_BYTES


def matrix_lines(state: State, room: Room) -> list[Line]:
    """K down, V across; one figure of each, a dash where it is refused, the selected one marked."""
    shown = square_column(state)
    size = max(min((room.width - _LABEL) // len(CACHE_TYPES), _WIDEST_CELL), _CELL)
    cells, shades = _figures(state, shown, size)
    heads = "".join(f"{_head(n, size):>{size}}" for n in CACHE_TYPES)
    lines = [line((" K \\ V".ljust(_LABEL), "dim"), (heads, "dim"))]
    for k in CACHE_TYPES:
        spans: list[Span] = [(f" {k:{_LABEL - 1}}", "strong" if k == state.pair[0] else "dim")]
        spans += [(f"{cells[k, v]:>{size}}", "cursor" if (k, v) == state.pair else shades[k, v]) for v in CACHE_TYPES]
        lines.append(tuple(spans))
    return [*lines, line((f" {_legend(state, shown, size)}", "dim"))]


def _head(name: str, size: int) -> str:
    return _NARROW.get(name, name.replace("_", ""))[:size] if size < _ROOMY_CELL else name


def said_name(shown: Column) -> str:
    """A column in a sentence."""
    return (shown.heading or shown.key.replace("_", " ")).lower()


def _legend(state: State, shown: Column, size: int) -> str:
    if size < _ROOMY_CELL:
        name = "cache" if shown.key in _BY_BYTES else said_name(shown)
        return f"{name}{', % of f16/f16' if _share(shown) else ''}; {NONE} refused"
    missing = "" if not needs_rows(state) or len(state.square) == len(ALL_PAIRS) else f"; {COMING} is being worked out"
    return f"{said_name(shown)}; {NONE} refused, or there is none{missing}"


def _share(shown: Column) -> bool:
    """Whether a narrow cell shows it as a share of f16/f16's figure."""
    return shown.key in _SHARES


def _figures(state: State, shown: Column, size: int) -> tuple[Mapping[Pair, str], Mapping[Pair, str]]:
    """(the text of each pair's cell, its style)."""
    if not needs_rows(state):
        sizes = _sizes(state.request.model, replace(state.request.context, type_k="f16", type_v="f16"), state.request.build)
        return _of_bytes(sizes, shown, size), _shades({p: n for p, n in sizes.items() if n is not None}, sizes)
    by_pair = {r.pair: r for r in state.square}
    reference = by_pair.get(("f16", "f16"))
    coming = COMING[:1] * 2 if size < _ROOMY_CELL else COMING
    slow = shown.slow and not state.square_contexts
    cells = {
        p: coming if p not in by_pair else _text(by_pair[p], reference, shown, size, coming if slow else NONE) for p in ALL_PAIRS
    }
    order = shown.order
    assert order is not None
    return cells, _shades({p: order(r) for p, r in by_pair.items() if r.accepted}, dict.fromkeys(ALL_PAIRS))


def _of_bytes(sizes: Mapping[Pair, int | None], shown: Column, size: int) -> dict[Pair, str]:
    reference = sizes["f16", "f16"] or 0

    def text(n: int | None) -> str:
        if n is None or not reference:
            return NONE
        if size < _ROOMY_CELL:
            return f"{100 * n / reference:.0f}"
        return amount(n).replace(" GiB", "G").replace(" MiB", "M") if shown.key == _BY_BYTES[0] else f"{1 - n / reference:.0%}"

    return {p: text(n) for p, n in sizes.items()}


def _text(row: "PairRow", reference: "PairRow | None", shown: Column, size: int, none: str) -> str:
    value = shown.value(row)
    if not row.accepted or value is None:
        return NONE if not row.accepted else none
    if size < _ROOMY_CELL:
        if not _share(shown):
            text = shown.text(row) if shown.heading else str(value)
            return _CODES.get(text, _WORDS.get(text, text))[:size]
        base = shown.value(reference) if reference is not None else None
        return f"{100 * value / base:.0f}"[:size] if base else NONE
    if shown.key == "device_bytes":
        return amount(row.device_bytes).replace(" GiB", "G").replace(" MiB", "M")
    face = shown.face(0) or (shown.faces[0] if shown.faces else None)
    text = face.text(row) if face is not None and face.text is not None else shown.text(row) if shown.heading else str(value)
    return text if len(text) < size and text not in ("True", "False") else _WORDS.get(text, text)[: size - 1]


def _shades(orders: Mapping[Pair, object], every: Mapping[Pair, object]) -> dict[Pair, str]:
    """By thirds of the different figures, the best first; what has none is dim."""
    ranks = sorted(set(orders.values()))  # type: ignore[type-var]
    places = {value: _SHADES[i * len(_SHADES) // len(ranks)] for i, value in enumerate(ranks)}
    return {p: places[orders[p]] if p in orders else "dim" for p in every}


@lru_cache(maxsize=8)
def _sizes(model: ModelSpec, context: ContextParams, build: Build) -> dict[Pair, int | None]:
    """Bytes of each pair's cache; None: llama-server refuses it."""
    found: dict[Pair, int | None] = {}
    for k, v in ALL_PAIRS:
        trial = replace(context, type_k=k, type_v=v)
        refused = any(f.severity == "error" for f in refusals(model, trial, build))
        found[k, v] = None if refused else cache_layout(model, trial).cache_bytes
    return found
