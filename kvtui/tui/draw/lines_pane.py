"""Styled lines on the screen: only lines that changed are drawn again."""

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from kvtui.tui.lines import Line, fit

REVERSED, OVER = "!", "/"  # in a style's name: `device0!` is device0 reversed, `kv/track` is kv on the colour of track


class LinesPane(Widget):
    """Shows lines in named styles. `draw` makes the lines of a width and a height; it is asked when the size is known."""

    can_focus = False

    def __init__(self, draw: Callable[[int, int], tuple[Line, ...]], *, id: str) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._lines: tuple[Line, ...] = ()
        self._styles: dict[str, Style] = {}

    @property
    def is_drawn(self) -> bool:
        """Whether it has lines to show."""
        return bool(self._lines)

    def use_styles(self, styles: dict[str, Style]) -> None:
        """Another theme: everything is drawn anew."""
        self._styles = dict(styles)
        self.update()
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Lines for the size that is true from now on."""
        self._lines = self._draw(event.size.width, event.size.height)
        self.refresh()

    def update(self) -> None:
        """Lines for what is true now; those that differ are drawn again."""
        width, height = self.size
        if not width:
            return
        old, self._lines = self._lines, self._draw(width, height)
        changed = [y for y in range(height) if self._line(old, y) != self._line(self._lines, y)]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    @staticmethod
    def _line(lines: tuple[Line, ...], y: int) -> Line:
        return lines[y] if y < len(lines) else ()

    def text(self) -> str:
        """What a person reads, for tests."""
        return "\n".join("".join(t for t, _ in content).rstrip() for content in self._lines)

    def render_line(self, y: int) -> Strip:
        """One line as a strip of exactly the pane's width."""
        width, height = self.size
        if width and not self._lines:  # the first frame comes before the event that tells the size
            self._lines = self._draw(width, height)
        return Strip([Segment(t, self._style(s)) for t, s in fit(self._line(self._lines, y), width)], width)

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self._made(name)
        return style

    def _made(self, name: str) -> Style:
        if name.endswith(REVERSED):
            return self._style(name[:-1]) + Style(reverse=True)
        if OVER in name:
            front, _, back = name.partition(OVER)
            under = self._style(back)
            return self._style(front) + Style(bgcolor=under.bgcolor if back == "track" else under.color)
        return self._styles.get("text", Style())
