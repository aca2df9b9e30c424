"""The K/V pairs: what each takes and saves, how far it reaches, how it runs, what it costs. Columns by the room there is."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.base.sizes import GIB
from kvtui.cache.layout import cache_layout
from kvtui.memory.refusals import equal_types_needed
from kvtui.placement.table import PairRow
from kvtui.report.columns import COMING, NONE
from kvtui.tui.draw.amounts import amount, short_context
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, line, window, wrapped
from kvtui.tui.state import State

_MOST_REASON_LINES = 2
_ROOMY = 8  # lines inside from which there is room for remarks on the model


@dataclass(frozen=True)
class TableColumn:
    """`width`: columns with the gap before a number or after a word; `floor`: inner columns of the pane from which it is shown.
    `word`: aligned left."""

    heading: str
    width: int
    text: Callable[[PairRow], str]
    floor: int = 0
    word: bool = False
    slow: bool = False  # computed after the others


def _number(value: float | None, form: str) -> str:
    return format(value, form) if value else NONE


# columns inside from which NARROW, the first of TABLE, MEDIUM and all of TABLE are whole
LEAST_WIDTH, PLAIN_WIDTH, MEDIUM_WIDTH, WIDE_WIDTH = 58, 74, 80, 106


def _runs(row: PairRow) -> str:
    return row.runs if row.accepted else "refused"


_SHORT_RUNS = {"converted": "conv", "unknown": "?", "refused": "none"}
_TYPES = (TableColumn("K", 7, lambda r: r.type_k, word=True), TableColumn("V", 7, lambda r: r.type_v, word=True))
_CACHE = (
    TableColumn("cache", 8, lambda r: amount(r.cache_bytes, 2 if r.cache_bytes < 100 * GIB else 0)),
    TableColumn("saved", 6, lambda r: f"{r.saved_fraction:.0%}"),
)
NARROW = (
    *_TYPES,
    *_CACHE,
    TableColumn("fits", 7, lambda r: short_context(r.max_context) if r.max_context else NONE, slow=True),
    TableColumn("t/s", 5, lambda r: _number(r.tokens_per_second, ".3g")),
    TableColumn("runs", 7, lambda r: _SHORT_RUNS.get(_runs(r), _runs(r)), word=True),
    TableColumn("quality", 9, lambda r: r.quality.label, word=True),
)
MEDIUM = (
    *_TYPES,
    *_CACHE,
    TableColumn("fits", 7, lambda r: short_context(r.max_context) if r.max_context else NONE, slow=True),
    TableColumn("on GPUs", 8, lambda r: short_context(r.max_context_gpu) if r.max_context_gpu else NONE, slow=True),
    TableColumn("tok/s", 6, lambda r: _number(r.tokens_per_second, ".3g")),
    TableColumn("empty", 6, lambda r: _number(r.tokens_per_second_empty, ".3g")),
    TableColumn("runs", 7, lambda r: _SHORT_RUNS.get(_runs(r), _runs(r)), word=True),
    TableColumn("quality", 10, lambda r: r.quality.label, word=True),
    TableColumn("so", 6, lambda r: "", word=True),
)
TABLE = (
    *_TYPES,
    *_CACHE,
    TableColumn("fits", 11, lambda r: _number(r.max_context, ","), slow=True),
    TableColumn("on GPUs", 11, lambda r: _number(r.max_context_gpu, ","), floor=WIDE_WIDTH, slow=True),
    TableColumn("tok/s", 7, lambda r: _number(r.tokens_per_second, ".4g")),
    TableColumn("empty", 7, lambda r: _number(r.tokens_per_second_empty, ".4g"), floor=WIDE_WIDTH),
    TableColumn("runs", 13, _runs, word=True),
    TableColumn("quality", 11, lambda r: r.quality.label, word=True),
    TableColumn("verdict", 13, lambda r: "", floor=WIDE_WIDTH, word=True),
)


def verdict(row: PairRow, cells: int, complete: bool) -> tuple[str, str, str]:
    """(a word or two on a pair at the context that is asked for, one word, its style)."""
    if not row.accepted:
        return "refused", "none", "error"
    if complete and (row.max_context or 0) < cells:
        return "too long", "long", "error"
    if not row.fits:
        return "does not fit", "over", "error"
    if row.quality.label == "risky":
        return "costs quality", "risk", "warning"
    if row.runs == "cpu":
        return "runs on CPU", "cpu", "warning"
    return ("slower", "slow", "note") if row.runs == "converted" else ("good", "good", "good")


def pair_lines(state: State, room: Room) -> list[Line]:
    """The headings, the pairs around the selected one, and what is known of it."""
    context, model = state.request.context, state.request.model
    shown = columns_for(room.width)
    indent = "   " if room.width >= PLAIN_WIDTH else "  "
    lines = [line((f"{indent}{_joined(shown, [c.heading for c in shown])}", "dim"))]
    if equal_types_needed(model) and room.height > _ROOMY:
        lines += _said("this model needs K and V of one type: k and v move both", "dim", room)
    selected = next((i for i, r in enumerate(state.rows) if (r.type_k, r.type_v) == (context.type_k, context.type_v)), 0)
    if not state.rows:
        total = cache_layout(model, context).cache_bytes
        lines.append(line((f" > {context.type_k:7}{context.type_v:7}{amount(total, 2):>9}", "cursor")))
        return lines
    about = _about(state.rows[selected], room)
    places = room.height - len(lines) - len(about)
    if places < 3:
        places, about = room.height - len(lines), []
    n_ctx = state.plan.request.context.n_ctx if state.plan is not None else context.n_ctx
    cells = min(n_ctx, model.n_ctx_train * context.slots)  # no more is looked for
    for i in window(len(state.rows), max(places, 1), selected):
        lines.append(_pair_line(state.rows[i], i == selected, state.rows_complete, cells, shown, indent))
    return [*lines, *about]


_VERDICTS: dict[str, Callable[[str, str], str]] = {"verdict": lambda long, _: long, "so": lambda _, short: short}


def columns_for(width: int) -> list[TableColumn]:
    """What the pane has room for inside."""
    if width < PLAIN_WIDTH:
        return list(NARROW)
    if MEDIUM_WIDTH <= width < WIDE_WIDTH:
        return list(MEDIUM)
    return [c for c in TABLE if c.floor <= width]


def _about(row: PairRow, room: Room) -> list[Line]:
    """Why its label is what it is, or the nearest figure that somebody measured."""
    if row.quality.why:
        return _said(row.quality.why, "warning", room)
    for figure, kin in row.quality.figures[:1]:
        return _said(f"{figure.metric} {figure.value:g}, {kin}: {figure.model} ({figure.source})", "dim", room)
    return []


def _said(text: str, style: str, room: Room) -> list[Line]:
    return [line((f"   {part}", style)) for part in wrapped(text, room.width - 4, _MOST_REASON_LINES)]


def _pair_line(row: PairRow, selected: bool, complete: bool, cells: int, shown: list[TableColumn], indent: str) -> Line:
    style = "cursor" if selected else "text" if row.accepted else "dim"
    texts = [COMING if c.slow and not complete and c.text(row) == NONE else c.text(row) for c in shown]
    judged = shown[-1] if shown[-1].heading in _VERDICTS else None
    figures = shown[:-1] if judged else shown
    content: list[Span] = [(f"{'> '.rjust(len(indent)) if selected else indent}{_joined(figures, texts[: len(figures)])}", style)]
    if judged:
        long, short, judgement = verdict(row, cells, complete)
        content.append((_VERDICTS[judged.heading](long, short).ljust(judged.width), style if selected else judgement))
    return tuple(content)


def _joined(shown: list[TableColumn], cells: list[str]) -> str:
    text, word = "", True
    for column, cell in zip(shown, cells, strict=True):
        gap = "" if not column.word or word else "  "
        text += gap + (cell.ljust(column.width - len(gap)) if column.word else cell.rjust(column.width))
        word = column.word
    return text
