"""Panes in thin frames that share their borders: a title costs a line, the sides a column each, the keys close the last one."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.tui.draw.ascii import in_ascii
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, fit, line, width_of

ACROSS, DOWN = "─", "│"
# the corner where borders go (left, right, up, down)
_CORNERS = {
    (False, True, False, True): "╭",
    (True, False, False, True): "╮",
    (False, True, True, False): "╰",
    (True, False, True, False): "╯",
    (False, True, True, True): "├",
    (True, False, True, True): "┤",
    (True, True, False, True): "┬",
    (True, True, True, False): "┴",
    (True, True, True, True): "┼",
}


@dataclass(frozen=True)
class Pane:
    """`width` and the number of `lines`: inside the borders. `title` stands in the upper border, `right` at its end."""

    title: Line
    right: tuple[Line, ...]  # the first that has room is shown
    lines: tuple[Line, ...]
    width: int
    focused: bool = False


Band = Sequence[Pane]  # panes side by side, of one height


def inner_widths(width: int, shares: Sequence[int]) -> list[int]:
    """Columns inside each of several panes side by side; a share of 0 takes what the others leave."""
    left = width - len(shares) - 1
    fixed = sum(shares)
    return [share or left - fixed for share in shares]


def framed(bands: Sequence[Band], footer: Sequence[Line], room: Room) -> list[Line]:
    """The bands under each other, and the footer's lines in the lowest border."""
    lines: list[Line] = []
    above: set[int] = set()
    for band in bands:
        here = _borders(band)
        lines.append(_title_line(band, above, here, room))
        side = (DOWN if room.unicode else " ", "frame")
        between = (DOWN if room.unicode else "|", "frame")
        for y in range(max(len(pane.lines) for pane in band)):
            row: list[Span] = [side]
            for i, pane in enumerate(band):
                row += fit(pane.lines[y] if y < len(pane.lines) else (), pane.width)
                row.append(between if i < len(band) - 1 else side)
            lines.append(tuple(row))
        above = here
    return [*lines, *_footer(footer, above, room)]


def _borders(band: Band) -> set[int]:
    found, x = {0}, 0
    for pane in band:
        x += pane.width + 1
        found.add(x)
    return found


def _corner(x: int, last: int, above: set[int], below: set[int]) -> str:
    return _CORNERS.get((x > 0, x < last, x in above, x in below), ACROSS)


def _title_line(band: Band, above: set[int], here: set[int], room: Room) -> Line:
    last = max(here)
    spans: list[Span] = []
    x = 0
    for pane in band:
        style = "frame-focus" if pane.focused else "frame"
        spans.append(_join(x, last, above, here, room))
        left = fit(pane.title, min(width_of(pane.title), pane.width - 1))
        free = pane.width - 1 - width_of(left)
        right = next((r for r in pane.right if width_of(r) + 2 <= free), ())
        gap = free - width_of(right) - (1 if right else 0)
        spans += [*_border(x + 1, 1, last, above, here, style, room), *left]
        spans += _border(x + 2 + width_of(left), gap, last, above, here, style, room)
        spans += right
        spans += _border(x + 2 + width_of(left) + gap + width_of(right), 1 if right else 0, last, above, here, style, room)
        x += pane.width + 1
    spans.append(_join(x, last, above, here, room))
    return tuple(spans)


def _join(x: int, last: int, above: set[int], below: set[int], room: Room) -> Span:
    return (_corner(x, last, above, below) if room.unicode else " ", "frame")


def _border(start: int, count: int, last: int, above: set[int], below: set[int], style: str, room: Room) -> tuple[Span, ...]:
    if count < 1:
        return ()
    if not room.unicode:
        return ((" " * count, style),)
    return (("".join(_corner(x, last, above, below) for x in range(start, start + count)), style),)


def _footer(footer: Sequence[Line], above: set[int], room: Room) -> list[Line]:
    """The lowest border, with the footer's last line in it; the lines before it stand between the sides."""
    if not room.unicode:
        return [fit(content, room.width) for content in footer]
    last = room.width - 1
    inner = last - 1
    lines: list[Line] = [((DOWN, "frame"), *fit(content, inner), (DOWN, "frame")) for content in footer[:-1]]
    text = fit(footer[-1], min(width_of(footer[-1]), inner)) if footer else ()
    up = above if not lines else {0, last}
    filled = _border(1 + width_of(text), inner - width_of(text), last, up, set(), "frame", room)
    return [*lines, (_join(0, last, up, set(), room), *text, *filled, _join(last, last, up, set(), room))]


def for_terminal(lines: Sequence[Line], room: Room) -> tuple[Line, ...]:
    """Exactly as many lines of exactly that width as there is room, in signs the terminal draws."""
    shown = [fit(content, room.width) for content in lines[: room.height]]
    shown += [fit((), room.width)] * (room.height - len(shown))
    return tuple(shown) if room.unicode else tuple(in_ascii(content) for content in shown)


def heading(number: int, text: str, focused: bool) -> Line:
    """` 1 memory `: highlighted where the keys go."""
    return line((f" {number} {text} ", "title-focus" if focused else "title"))
