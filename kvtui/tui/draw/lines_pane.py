"""A pane of styled lines that repaints only the cells that changed: what SSH pays for is what moved."""

from itertools import chain, repeat

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from kvtui.base.text import columns
from kvtui.tui.lines import Line, fit


class LinesPane(Widget):
    """Shows lines in named styles. `show` compares with what is shown and refreshes the differing columns."""

    can_focus = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._styles: dict[str, Style] = {}

    def set_styles_table(self, styles: dict[str, Style]) -> None:
        """Another theme: everything is drawn anew."""
        self._styles = styles
        self.refresh()

    def show(self, lines: tuple[Line, ...]) -> None:
        """Replace the content; only differences are sent."""
        old, self._lines = self._lines, lines
        width = self.size.width
        if not width:
            return
        regions = []
        for y in range(self.size.height):
            before = old[y] if y < len(old) else ()
            after = lines[y] if y < len(lines) else ()
            if before != after:
                changed = _difference(fit(before, width), fit(after, width))
                if changed is not None:
                    regions.append(Region(changed[0], y, changed[1] - changed[0], 1))
        if regions:
            self.refresh(*regions)

    def text(self) -> str:
        """What a person reads, for tests."""
        return "\n".join("".join(t for t, _ in content).rstrip() for content in self._lines)

    def render_line(self, y: int) -> Strip:
        """One line as a strip of exactly the pane's width."""
        width = self.size.width
        content = self._lines[y] if y < len(self._lines) else ()
        plain = self._styles.get("text", Style())
        return Strip([Segment(t, self._styles.get(s, plain)) for t, s in fit(content, width)], width)


def _cells(content: Line) -> list[tuple[str, str]]:
    return list(chain.from_iterable(zip(text, repeat(style), strict=False) for text, style in content))


def _difference(before: Line, after: Line) -> tuple[int, int] | None:
    """(first, last + 1) column that differs, or None."""
    a, b = _cells(before), _cells(after)
    if a == b:
        return None
    if len(a) != len(b) or any(columns(c) != 1 for c, _ in a + b):
        return 0, sum(columns(t) for t, _ in after)
    first = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    last = next(i for i in range(len(a) - 1, -1, -1) if a[i] != b[i])
    return first, last + 1
