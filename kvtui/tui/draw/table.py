"""The K/V pairs: what each takes and saves, how far it reaches, how it runs, what it costs. Columns by the room there is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvtui.base.sizes import amount
from kvtui.base.text import cut
from kvtui.cache.layout import cache_layout
from kvtui.memory.refusals import equal_types_needed
from kvtui.placement.advice import advice
from kvtui.report.columns import COLUMNS, COMING, MEDIUM_WIDTH, NONE, WIDE_WIDTH, Column, Face
from kvtui.tui.draw.pair_page import about_pair
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, line, window, wrapped
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.table import PairRow

_ROWS_SHARE = 0.5  # of the lines under the headings: pairs that are shown before anything is said of them
_LEAST_ROWS = 5  # of them where there are fewer lines than both need: sentences have a page too, pairs have not
_BOTH = 8
_ROOMY = 10  # lines inside from which there is room for remarks on the model
_INDENT = 3  # the mark of what is recommended, the cursor, a gap
_UP, _DOWN = "↑", "↓"
Drawn = tuple[Column, Face]
# the verdict, which is of the screen alone: columns inside from which it is a word or a few, and its width
_VERDICTS = ((MEDIUM_WIDTH, "so", 6), (WIDE_WIDTH, "verdict", 13))


def verdict(row: "PairRow", cells: int, complete: bool) -> tuple[str, str, str]:
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
    if row.dominated_by is not None:
        return "beaten", "beaten", "note"
    return ("slower", "slow", "note") if row.runs == "converted" else ("good", "good", "good")


def pair_lines(state: State, room: Room) -> list[Line]:
    """The headings, the pairs around the selected one, what to take, and what is known of the selected one."""
    context, model, chosen = state.request.context, state.request.model, state.pair
    drawn, judged = columns_for(room.width), _verdict_for(room.width)
    heads = _joined(drawn, [_heading(c, f, state, room) for c, f in drawn])
    lines = [line((f"{' ' * _INDENT}{heads}{judged[1] if judged else ''}", "dim"))]
    rows = state.view.rows(state.pairs, chosen)
    if not state.pairs:
        total = cache_layout(model, context).cache_bytes
        lines.append(line((f" > {context.type_k:7}{context.type_v:7}{amount(total, 2):>8}", "cursor")))
        return lines
    selected = next((i for i, r in enumerate(rows) if r.pair == chosen), 0)
    left = room.height - len(lines)
    of_rows = min(round(left * _ROWS_SHARE) if left >= _BOTH else _LEAST_ROWS, len(rows))
    said = said_lines(state, rows[selected] if rows else None, room, left - of_rows)
    n_ctx = state.plan.request.context.n_ctx if state.plan is not None else context.n_ctx
    cells = min(n_ctx, model.n_ctx_train * context.slots)  # no more is looked for
    for i in window(len(rows), max(room.height - len(lines) - len(said), 1), selected):
        lines.append(_pair_line(rows[i], rows[i].pair == chosen, state, cells, room.width))
    return [*lines, *said]


def columns_for(width: int) -> list[Drawn]:
    """What a table of `width` columns has room for, each with its face."""
    return [(c, face) for c in COLUMNS if (face := c.face(width)) is not None]


def row_text(row: "PairRow", width: int, *, complete: bool) -> str:
    """The cells of a row, without its marks and the verdict."""
    drawn = columns_for(width)
    return _joined(drawn, [_cell(column, face, row, complete) for column, face in drawn])


def _verdict_for(width: int) -> tuple[int, str, int] | None:
    return next((v for v in reversed(_VERDICTS) if v[0] <= width), None)


def _heading(column: Column, face: Face, state: State, room: Room) -> str:
    """With an arrow where the rows are sorted by it."""
    if column.key != state.view.by:
        return face.heading
    arrow = _UP if state.view.reverse else _DOWN
    return f"{face.heading[: face.width - 1]}{arrow}"


def said_lines(state: State, row: "PairRow | None", room: Room, most: int) -> list[Line]:
    """The advice, then the selected pair, in `most` lines; what has no room is on a page, and the last line names its key."""
    texts: list[tuple[str, str, str]] = []
    if equal_types_needed(state.request.model) and room.height > _ROOMY:
        texts.append(("   ", "this model needs K and V of one type: k and v move both", "dim"))
    if state.plan is not None:
        texts.insert(0, ("*  ", advice(state.plan, state.pairs, state.view.goal), "strong"))
    if row is not None:
        texts += [(" > " if i == 0 else "   ", text, style) for i, (text, style) in enumerate(about_pair(row))]
    lines: list[tuple[str, str]] = []
    for mark, text, style in texts:
        for i, part in enumerate(wrapped(text, room.width - _INDENT - 1, most=max(most, 0) + 1)):
            lines.append((f"{mark if i == 0 else ' ' * _INDENT}{part}", style))
    if len(lines) > most > 0:
        last, style = lines[most - 1]
        read_on = f"  ({state.key('why')}: all of it)"
        lines = [*lines[: most - 1], (cut(last + " ...", room.width - len(read_on) - 1) + read_on, style)]
    return [line(x) for x in lines[: max(most, 0)]]


def _pair_line(row: "PairRow", selected: bool, state: State, cells: int, width: int) -> Line:
    judged, complete = _verdict_for(width), state.pairs_complete
    weak = not row.accepted or row.dominated_by is not None
    style = "cursor" if selected else "dim" if weak else "text"
    mark = f"{'*' if state.view.goal in row.recommended_for else ' '}{'>' if selected else ' '} "
    content: list[Span] = [(f"{mark}{row_text(row, width, complete=complete)}", style)]
    if judged:
        long, short, judgement = verdict(row, cells, complete)
        content.append(((long if judged[1] == "verdict" else short).ljust(judged[2]), style if selected else judgement))
    return tuple(content)


def _cell(column: Column, face: Face, row: "PairRow", complete: bool) -> str:
    text = (face.text or column.text)(row)
    return COMING if column.slow and not complete and text == NONE else text


def _joined(drawn: Sequence[Drawn], cells: Sequence[str]) -> str:
    text, word = "", True
    for (column, face), cell in zip(drawn, cells, strict=True):
        gap = "" if not column.word or word else "  "
        text += gap + (cell.ljust(face.width - len(gap)) if column.word else cell.rjust(face.width))
        word = column.word
    return text
