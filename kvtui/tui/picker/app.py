"""Choosing a model: the GGUF files of this machine, a filter as one types, or a path or URL typed whole."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textual.app import App, ComposeResult
from textual.events import Key, Resize
from textual.message import Message

from kvtui.base.findings import UsageError
from kvtui.base.sizes import gib
from kvtui.base.text import columns, cut, printable
from kvtui.header.shelf import Place, ShelfModel, architecture, shelf_models, usual_places
from kvtui.placement.request import Request
from kvtui.tui.draw.lines import Line, both_ends, line, padded, window
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.session import Session
from kvtui.tui.themes import Theme

_MOST_TYPED = 400


class Found(Message):
    """Another model, or (model None) the end of the search."""

    def __init__(self, model: ShelfModel | None) -> None:
        super().__init__()
        self.model = model


class Described(Message):
    """The architecture of a model in the list."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__()
        self.path, self.text = path, text


class Opened(Message):
    """What came of opening: a request, or why not."""

    def __init__(self, model: str, request: Request | None, problem: str = "") -> None:
        super().__init__()
        self.model, self.request, self.problem = model, request, problem


def is_address(text: str) -> bool:
    """Whether typed text names a file or URL rather than filtering the list."""
    return text.startswith(("/", "~", ".", "http://", "https://", "hf:")) or text.lower().endswith(".gguf")


class PickerApp(App[Session]):
    """Its result is the session with a model, or None where the person left."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { layout: vertical; overflow: hidden; } LinesPane { width: 100%; height: 100%; }"

    def __init__(self, session: Session, look: Theme, places: tuple[Place, ...], opener: Callable[[str], Request]) -> None:
        super().__init__(ansi_color=look.ansi)
        self.session, self.look, self.places, self.opener = session, look, places, opener
        self.models: list[ShelfModel] = []
        self.kinds: dict[Path, str] = {}
        self.typed, self.at, self.notice = "", 0, ""
        self.searching, self.opening = True, False
        self.pane = LinesPane(id="picker")

    def compose(self) -> ComposeResult:
        """One pane."""
        yield self.pane

    def on_mount(self) -> None:
        """Search begins; the list grows as files are found."""
        if not self.look.ansi:
            self.screen.styles.background = self.look.background
        self.pane.set_styles_table(self.look.styles)
        self.run_worker(self._search, thread=True, exit_on_error=False)
        self.draw()

    def on_resize(self, _: Resize) -> None:
        """The room changed."""
        self.draw()

    def _search(self) -> None:
        found = []
        for model in shelf_models(self.places):
            if not self.is_running:
                return
            found.append(model)
            self.post_message(Found(model))
        self.post_message(Found(None))
        for model in found:
            if not self.is_running:
                return
            self.post_message(Described(model.path, architecture(model.path)))

    def on_found(self, message: Found) -> None:
        """The list grows."""
        if message.model is None:
            self.searching = False
        else:
            self.models.append(message.model)
        self.draw()

    def on_described(self, message: Described) -> None:
        """A row says more."""
        self.kinds[message.path] = message.text
        self.draw()

    def on_opened(self, message: Opened) -> None:
        """On to the app, or a sentence."""
        self.opening = False
        if message.request is None:
            self.notice = message.problem
            self.draw()
        else:
            path = None if "://" in message.model else Path(message.model)
            self.exit(replace(self.session, path=path, request=message.request, machine=message.request.machine))

    def shown(self) -> list[ShelfModel]:
        """The models that match what was typed, words in any order."""
        if is_address(self.typed):
            return []
        words = self.typed.lower().split()
        return [m for m in self.models if all(w in f"{m.name} {self.kinds.get(m.path, '')} {m.place}".lower() for w in words)]

    # -- keys ------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Every printable key types; the others move, open and leave."""
        event.stop()
        steps = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -10_000, "end": 10_000}
        if event.key == "escape":
            if self.typed:
                self.typed = ""
            else:
                self.exit(None)
        elif event.key in ("ctrl+q", "ctrl+c"):
            self.exit(None)
        elif event.key == "enter":
            self._open()
        elif event.key in ("backspace", "ctrl+h"):
            self.typed = self.typed[:-1]
        elif event.key in steps:
            self.at += steps[event.key]
        elif event.character and event.character.isprintable() and len(self.typed) < _MOST_TYPED:
            self.typed, self.notice = self.typed + event.character, ""
        self.at = max(0, min(self.at, len(self.shown()) - 1))
        self.draw()

    def _open(self) -> None:
        rows = self.shown()
        if self.opening or not (rows or is_address(self.typed)):
            return
        chosen = str(rows[self.at].path) if rows else self.typed
        if "://" not in chosen and not chosen.startswith("hf:"):
            chosen = str(Path(chosen).expanduser())
        self.opening, self.notice = True, ""

        def work() -> None:
            try:
                self.post_message(Opened(chosen, self.opener(chosen)))
            except UsageError as e:
                self.post_message(Opened(chosen, None, str(e)))

        self.run_worker(work, thread=True, exit_on_error=False)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """The list for the room there is."""
        if self.is_running:
            width, height = self.size
            self.pane.show(padded(self.lines(width, height), width, height))

    def lines(self, width: int, height: int) -> list[Line]:
        """Title, what is typed, the models, and the keys."""
        rows = self.shown()
        count = f"{len(rows)} of {len(self.models)} models{', searching' if self.searching else ''} "
        out = [both_ends(line((" kvtui  ", "accent"), ("choose a model", "strong")), line((count, "dim")), width)]
        prompt = "path" if is_address(self.typed) else "filter, or a path or URL"
        out.append(line((f" {prompt}: ", "dim"), (f"{self.typed}_", "strong")))
        out.append(line((f"   {'model':<{max(width - 48, 12)}} {'architecture':<14}{'size':>12}  from", "dim")))
        room = max(height - len(out) - 2, 1)
        out += [self._row(rows[i], i == self.at, width) for i in window(len(rows), room, self.at)]
        if not rows and not self.searching and not is_address(self.typed):
            out.append(
                line(("   none here: type the path of a GGUF file", "dim")) if not self.models else line(("   no match", "dim"))
            )
        out += [line("")] * (height - 2 - len(out))
        said = "reading the header" if self.opening else self.notice
        if not said and rows:
            said = str(rows[self.at].path)
        out.append(line((f" {said}", "warning" if self.notice and not self.opening else "dim")))
        out.append(line((" Enter opens  up and down choose  Esc clears, then leaves", "dim")))
        return out

    def _row(self, model: ShelfModel, selected: bool, width: int) -> Line:
        size = f"{model.missing} parts lack" if model.missing else gib(model.n_bytes, 1)
        kind = self.kinds.get(model.path, "...")
        text = f"{_cell(model.name, max(width - 48, 12))} {_cell(kind, 13)} {size:>12}  {_cell(model.place, 13)}"
        return line((f"{' > ' if selected else '   '}{text}", "cursor" if selected else "text"))


def _cell(text: str, width: int) -> str:
    shown = cut(printable(text), width)
    return shown + " " * (width - columns(shown))


def choose(session: Session, look: Theme, opener: Callable[[str], Request]) -> Session | None:
    """Let the person choose; None where they left."""
    places = usual_places(os.environ, Path.home(), Path.cwd())
    return PickerApp(session, look, places, opener).run(mouse=False)
