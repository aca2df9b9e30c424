"""Lines of styled text: what panes, pages and questions are made of. No widget here."""

import textwrap
from collections.abc import Sequence

from kvtui.base.text import columns, cut, printable

Span = tuple[str, str]  # (text, style name)
Line = tuple[Span, ...]
MOST_NOTICE_LINES = 4


def span(text: str, style: str = "text") -> Span:
    """Printable text in a named style."""
    return printable(text), style


def line(*parts: Span | str) -> Line:
    """A line of spans; a bare string is plain text."""
    return tuple(span(p) if isinstance(p, str) else span(*p) for p in parts)


def width_of(content: Line) -> int:
    """Columns of a line."""
    return sum(columns(text) for text, _ in content)


def fit(content: Line, width: int) -> Line:
    """The line cut or padded to `width` columns."""
    out: list[Span] = []
    left = width
    for text, style in content:
        size = columns(text)
        if size > left:
            out.append((cut(text, left), style))
            left -= columns(out[-1][0])
            break
        out.append((text, style))
        left -= size
    if left > 0:
        out.append((" " * left, "text"))
    return tuple(out)


def both_ends(left: Line, right: Line, width: int) -> Line:
    """`left` and `right` at the two ends; `right` is dropped where there is no room."""
    gap = width - width_of(left) - width_of(right)
    return fit(left, width) if gap < 1 else (*left, (" " * gap, "text"), *right)


def window(count: int, height: int, at: int) -> range:
    """Which of `count` items are shown in `height` lines so that `at` is visible."""
    if count <= height:
        return range(count)
    start = min(max(at - height // 2, 0), count - height)
    return range(start, start + height)


def padded(lines: Sequence[Line], width: int, height: int) -> tuple[Line, ...]:
    """Exactly `height` lines of exactly `width` columns."""
    shown = [fit(content, width) for content in lines[:height]]
    return tuple(shown + [fit((), width)] * (height - len(shown)))


def folded_line(content: Line, width: int) -> list[Line]:
    """A line in as many of `width` columns as it takes, broken at spaces, the later ones under the first one's indent."""
    if width_of(content) <= width:
        return [content]
    text = "".join(t for t, _ in content)
    styles = [style for t, style in content for _ in t]
    indent = " " * min(len(text) - len(text.lstrip()) + 2, width // 2)
    lines: list[Line] = []
    start = 0
    while start < len(text):
        room = width - (len(indent) if lines else 0)
        stop = start
        used = 0
        while stop < len(text) and used + columns(text[stop]) <= room:
            used += columns(text[stop])
            stop += 1
        if stop < len(text):
            space = text.rfind(" ", start + 1, stop + 1)
            if space > start and text[start:space].strip():
                stop = space
        spans: list[Span] = [(indent, "text")] if lines else []
        for character, style in zip(text[start:stop], styles[start:stop], strict=True):
            if spans and spans[-1][1] == style:
                spans[-1] = (spans[-1][0] + character, style)
            else:
                spans.append((character, style))
        lines.append(tuple(spans))
        start = max(stop, start + 1)
        while start < len(text) and text[start] == " ":
            start += 1
    return lines


def wrapped(text: str, width: int, most: int = MOST_NOTICE_LINES) -> list[str]:
    """A sentence in at most so many lines of `width` columns, cut nowhere it can be read whole."""
    parts = textwrap.wrap(printable(text), max(width, 1), break_on_hyphens=False)
    return [*parts[: most - 1], cut(" ".join(parts[most - 1 :]), width)] if len(parts) > most else parts
