"""What a terminal shows already: of each update only the cells that differ are sent, with the shortest codes for their styles.

Textual sends a changed line again from the left edge of its widget, each run of a style with all its codes, and draws the
whole screen anew several times while it starts (textual/_compositor.py, ChopsUpdate and LayoutUpdate)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.color import ColorSystem
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from kvtui.base.text import columns
from kvtui.tui.draw.sgr import PLAIN, blank, blank_over, codes, marks

Cell = tuple[str, Style]  # what follows a wide character is an empty cell
At = tuple[int, int]  # column, line
_GAP = re.compile(" {11,}")  # longer than the codes that erase it
_LAST_GAP = re.compile(" {6,}$")  # the same, where nothing follows
_FURTHEST = 6  # cells that are never worth it


@dataclass
class _Piece:
    """Neighbours that one style can draw. `style`: of the characters; of spaces alone, what is seen of them."""

    y: int
    x: int
    stop: int
    style: Style
    spaces: bool
    texts: list[str] = field(default_factory=list)

    def takes(self, cells: Iterable[Cell]) -> bool:
        """Whether these can stand in it too."""
        style, spaces = self.style, self.spaces
        for text, wanted in cells:
            if text == " ":
                if blank(style) != wanted:
                    return False
            elif spaces and blank(wanted) == style:
                style, spaces = wanted, False
            elif spaces or style != wanted:
                return False
        return True

    def take(self, cells: Iterable[Cell]) -> None:
        """They do."""
        for text, wanted in cells:
            if text and text != " " and self.spaces:
                self.style, self.spaces = wanted, False
            self.texts.append(text)
            self.stop += 1


class Terminal:
    """The cells that were sent, where the cursor is, and the style in force."""

    def __init__(self, erases: bool = True) -> None:
        self.erases = erases  # whether what it erases takes the background in force (terminfo's bce)
        self._rows: dict[int, list[Cell]] = {}
        self._at: At | None = None
        self._style: Style | None = None

    def forget(self) -> None:
        """Something else wrote to the terminal, or its size changed: all is sent again."""
        self._rows.clear()
        self._at = self._style = None

    def changes(self, update: CompositorUpdate, system: ColorSystem) -> str:
        """The codes that make the terminal show `update`: line by line, or style by style where that is shorter."""
        pieces: list[_Piece] = []
        for y, x, strip in _strips(update):
            row = self._rows.setdefault(y, [])
            cells = _cells(strip)
            pieces += _pieces(row, cells, x, y)
            row += [("", PLAIN)] * (x + len(cells) - len(row))
            row[x : x + len(cells)] = cells
        if not pieces:
            return ""
        width = max(map(len, self._rows.values()))
        drawn = [self._drawn(order, width, system) for order in (pieces, self._by_style(pieces, system))]
        text, self._at, self._style = min(drawn, key=lambda d: len(d[0].encode()))
        return text

    def _drawn(self, pieces: Iterable[_Piece], width: int, system: ColorSystem) -> tuple[str, At | None, Style | None]:
        """(codes, the cursor after them, the style after them)."""
        out: list[str] = []
        at, style = self._at, self._style
        for piece in pieces:
            wanted = blank_over(style, piece.style) if piece.spaces else piece.style
            text = "".join(piece.texts)
            stop = piece.stop
            if self.erases and not marks(wanted):
                last = _LAST_GAP.search(text)
                if last is not None:  # the cursor need not follow: it goes on from here
                    stop -= len(last[0])
                    text = text[: last.start()]
                text = _GAP.sub(_erased, text) + (f"\x1b[{len(last[0])}X" if last is not None else "")
            out += (_move(at, (piece.x, piece.y)), codes(style, wanted, system), text)
            style = wanted
            at = (stop, piece.y) if stop < width else None  # at the edge a terminal may wait to go on
        return "".join(out), at, style

    def _by_style(self, pieces: Iterable[_Piece], system: ColorSystem) -> Iterator[_Piece]:
        """Those of a style together, the nearest style next."""
        groups: dict[tuple[Style, bool], list[_Piece]] = {}
        for piece in pieces:
            groups.setdefault((piece.style, piece.spaces), []).append(piece)
        style = self._style
        while groups:
            costs = {key: len(codes(style, blank_over(style, key[0]) if key[1] else key[0], system)) for key in groups}
            chosen = min(costs, key=costs.__getitem__)
            style = blank_over(style, chosen[0]) if chosen[1] else chosen[0]
            yield from groups.pop(chosen)


def _strips(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """(line, first column, strip)."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y in dict.fromkeys(y for y, _, _ in update.spans):
            for x, chop in update.chops[y].items():
                if chop is not None:
                    yield y, x, chop


def _cells(strip: Strip) -> list[Cell]:
    """Spaces have the style of what is seen of them."""
    cells: list[Cell] = []
    for segment in strip:
        style = segment.style or PLAIN
        for character in segment.text:
            width = columns(character)
            if width == 0 and cells:
                before, styled = cells[-1]
                cells[-1] = (before + character, style if before == " " else styled)
                continue
            cells.append((character, blank(style) if character == " " else style))
            cells += [("", style)] * (width - 1)
    return cells


def _pieces(row: list[Cell], cells: list[Cell], x: int, y: int) -> Iterator[_Piece]:
    """What differs from what is shown, whole characters; what lies between two of one style goes along where it is short."""
    piece: _Piece | None = None
    for start, stop in _runs(row, cells, x):
        for i in range(start, stop):
            cell = cells[i - x]
            if piece is not None and _is_short(cells[piece.stop - x : i - x]) and piece.takes(cells[piece.stop - x : i - x + 1]):
                piece.take(cells[piece.stop - x : i - x + 1])
                continue
            if piece is not None:
                yield piece
            piece = _Piece(y, i, i, cell[1], cell[0] == " ")
            piece.take([cell])
    if piece is not None:
        yield piece


def _is_short(cells: Sequence[Cell]) -> bool:
    """Whether sending them again costs no more than moving the cursor over them."""
    return not cells or len("".join(text for text, _ in cells[:_FURTHEST]).encode()) <= len(_by(len(cells), "C", "D"))


def _runs(row: list[Cell], cells: list[Cell], x: int) -> list[tuple[int, int]]:
    """(first, last + 1) columns that differ from what is shown; whole characters."""
    runs: list[tuple[int, int]] = []
    for i, cell in enumerate(cells, x):
        if i < len(row) and row[i] == cell:
            continue
        if runs and i == runs[-1][1]:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    whole: list[tuple[int, int]] = []
    for start, stop in runs:
        while start > x and not cells[start - x][0]:
            start -= 1
        while stop - x < len(cells) and not cells[stop - x][0]:
            stop += 1
        if whole and start < whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        else:
            whole.append((start, stop))
    return whole


def _erased(gap: re.Match[str]) -> str:
    """ECMA-48 ECH and CUF."""
    return f"\x1b[{len(gap[0])}X\x1b[{len(gap[0])}C"


def _move(at: At | None, to: At) -> str:
    """The shortest of ECMA-48's ways; CUP, from the upper left corner, where the cursor is nobody knows where."""
    if at == to:
        return ""
    whole = f"\x1b[{to[1] + 1};{to[0] + 1}H" if to[0] else f"\x1b[{to[1] + 1}H"
    if at is None:
        return whole
    part = _by(to[1] - at[1], "B", "A") + _across(at[0], to[0])
    return min(whole, part, key=len)


def _across(at: int, to: int) -> str:
    """Within a line: a return, backspaces, CUF, CUB."""
    if to == 0 < at:
        return "\r"
    return min("\b" * (at - to), _by(to - at, "C", "D"), key=len) if at > to else _by(to - at, "C", "D")


def _by(count: int, forward: str, backward: str) -> str:
    return f"\x1b[{abs(count) if abs(count) > 1 else ''}{forward if count > 0 else backward}" if count else ""
