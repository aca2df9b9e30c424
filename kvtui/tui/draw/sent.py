"""What a terminal shows already: of each update only the cells that differ are sent, with the shortest codes for their styles.

Textual sends a changed line again from the left edge of its widget, each run of a style with all its codes, and draws the
whole screen anew several times while it starts (textual/_compositor.py, ChopsUpdate and LayoutUpdate)."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.events import Resize
from textual.screen import Screen
from textual.strip import Strip

from kvtui.base.text import columns

Result = TypeVar("Result")
Cell = tuple[str, Style]  # what follows a wide character is an empty cell
_BRIDGED = 4  # equal cells between two changed ones that cost no more than moving the cursor over them
_PLAIN = Style()
_ON = {"bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7", "strike": "9"}
_OFF = {"bold": "22", "dim": "22", "italic": "23", "underline": "24", "reverse": "27", "strike": "29"}


class Terminal:
    """The cells that were sent."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Cell]] = {}

    def forget(self) -> None:
        """Something else wrote to the terminal, or its size changed: all is sent again."""
        self._rows.clear()

    def changes(self, update: CompositorUpdate, system: ColorSystem) -> str:
        """The codes that make the terminal show `update`."""
        out: list[str] = []
        style: Style | None = None
        at = (-1, -1)
        for y, x, strip in _pieces(update):
            row = self._rows.setdefault(y, [])
            cells = _cells(strip)
            for start, stop in _runs(row, cells, x):
                out.append(_move(at, (start, y)))
                for text, wanted in cells[start - x : stop - x]:
                    if text:
                        out.append(codes(style, wanted, system))
                        out.append(text)
                        style = wanted
                at = (stop, y)
            row += [("", _PLAIN)] * (x + len(cells) - len(row))
            row[x : x + len(cells)] = cells
        return "".join(out) + ("\x1b[0m" if style is not None else "")


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
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
    cells: list[Cell] = []
    for segment in strip:
        style = segment.style or _PLAIN
        for character in segment.text:
            width = columns(character)
            if width == 0 and cells:
                cells[-1] = (cells[-1][0] + character, cells[-1][1])
                continue
            cells.append((character, style))
            cells += [("", style)] * (width - 1)
    return cells


def _runs(row: list[Cell], cells: list[Cell], x: int) -> list[tuple[int, int]]:
    """(first, last + 1) columns that differ from what is shown; whole characters."""
    runs: list[tuple[int, int]] = []
    for i, cell in enumerate(cells, x):
        if i < len(row) and row[i] == cell:
            continue
        if runs and i - runs[-1][1] <= _BRIDGED:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return [_whole(cells, x, start, stop) for start, stop in runs]


def _whole(cells: list[Cell], x: int, start: int, stop: int) -> tuple[int, int]:
    while start > x and not cells[start - x][0]:
        start -= 1
    while stop - x < len(cells) and not cells[stop - x][0]:
        stop += 1
    return start, stop


def _move(at: tuple[int, int], to: tuple[int, int]) -> str:
    """ECMA-48 CUF within a line, else CUP."""
    if at == to:
        return ""
    if at[1] == to[1] and to[0] > at[0]:
        return f"\x1b[{to[0] - at[0]}C"
    return f"\x1b[{to[1] + 1};{to[0] + 1}H"


@lru_cache(maxsize=4096)
def codes(before: Style | None, wanted: Style, system: ColorSystem) -> str:
    """SGR codes from one style to another; None: nothing is known of the style in force."""
    if before == wanted:
        return ""
    parts: list[str] = []
    if before is None:
        parts, before = ["0"], _PLAIN
    was, will = _attributes(before), _attributes(wanted)
    off = {_OFF[name] for name in was if name not in will}
    parts += sorted(off)
    parts += [_ON[name] for name in will if name not in was or _OFF[name] in off]
    for foreground in (True, False):
        new = _colour(wanted, foreground, system)
        if new != _colour(before, foreground, system):
            parts += new or (("39",) if foreground else ("49",))
    return f"\x1b[{';'.join(parts)}m" if parts else ""


def _attributes(style: Style) -> tuple[str, ...]:
    return tuple(name for name in _ON if getattr(style, name))


def _colour(style: Style, foreground: bool, system: ColorSystem) -> tuple[str, ...]:
    colour = style.color if foreground else style.bgcolor
    if colour is None or colour.is_default:
        return ()
    return tuple(colour.downgrade(system).get_ansi_codes(foreground=foreground))


class Changes(CompositorUpdate):
    """An update of which the terminal is sent only what it does not show."""

    def __init__(self, update: CompositorUpdate, terminal: Terminal) -> None:
        self._update, self._terminal = update, terminal

    def render_segments(self, console: Console) -> str:
        """The codes to send."""
        system = ColorSystem[(console.color_system or "truecolor").upper().replace("256", "EIGHT_BIT")]
        return self._terminal.changes(self._update, system)


class SparingApp(App[Result]):
    """An app that sends only cells that changed."""

    def __init__(self, *, ansi_color: bool) -> None:
        super().__init__(ansi_color=ansi_color)
        self.terminal = Terminal()

    def on_mount(self) -> None:
        """After a pause (Ctrl+Z) a shell has written over it."""
        self.app_resume_signal.subscribe(self, lambda _: self.terminal.forget(), immediate=True)

    def on_resize(self, _: Resize) -> None:
        """A terminal may fold its lines anew."""
        self.terminal.forget()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, (LayoutUpdate, ChopsUpdate)) and not self.is_headless:
            super()._display(screen, Changes(renderable, self.terminal))  # type: ignore[arg-type]  # as Textual's own updates
        else:
            super()._display(screen, renderable)
