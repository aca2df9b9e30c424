"""Choosing a model: the GGUF files of this machine, a filter as one types, or a path or URL typed whole."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from textual.app import ComposeResult
from textual.events import Key
from textual.message import Message

from kvtui.header.shelf import Place, ShelfModel, architecture, shelf_models, usual_places
from kvtui.placement.request import Request
from kvtui.server.process.record import is_alive
from kvtui.server.process.start import survivors
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.lines import Line, padded
from kvtui.tui.picker.state import PickerState, picker_lines
from kvtui.tui.server.shown import named
from kvtui.tui.session import Session
from kvtui.tui.themes import Theme
from kvtui.tui.work.boundary import GuardedApp


@dataclass
class Found(Message):
    """Another model."""

    model: ShelfModel


@dataclass
class Searched(Message):
    """The end of the search; `problem`: why it ended before it was through."""

    problem: str = ""


@dataclass
class Described(Message):
    """The architecture of a model in the list."""

    path: Path
    text: str


@dataclass
class Running(Message):
    """Servers that run, in words."""

    servers: tuple[str, ...]


@dataclass
class Opened(Message):
    """A model's header was read."""

    model: str
    request: Request


@dataclass
class NotOpened(Message):
    """Why a model could not be opened; one sentence."""

    problem: str


class PickerApp(GuardedApp[Session]):
    """Its result is the session with a model, or None where the person left."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { layout: vertical; overflow: hidden; } LinesPane { width: 100%; height: 100%; }"

    def __init__(self, session: Session, look: Theme, places: tuple[Place, ...], opener: Callable[[str], Request]) -> None:
        super().__init__(ansi_color=look.ansi)
        self.session, self.look, self.places, self.opener = session, look, places, opener
        self.state = PickerState(behind=session.request.model.name if session.request is not None else "")
        self.pane = LinesPane(self._lines, id="picker")

    def compose(self) -> ComposeResult:
        """One pane."""
        yield self.pane

    def on_mount(self) -> None:
        """Search begins; the list grows as files are found."""
        if not self.look.ansi:
            self.screen.styles.background = self.look.background
        self.pane.use_styles(self.look.styles)
        self.work("looking for models", self._search, Searched)
        self.work("looking for servers that run", _running, NotOpened)
        self.draw()

    def become(self, state: PickerState) -> None:
        """Another state, drawn; for what runs on the event loop."""
        self.state = state
        self.draw()

    # -- workers and what they post --------------------------------------------------------------------------------

    def _search(self) -> Message | None:
        found = []
        for model in shelf_models(self.places):
            if not self.is_running:
                return None
            found.append(model)
            self.post_message(Found(model))
        self.post_message(Searched())
        for model in found:
            if not self.is_running:
                return None
            self.post_message(Described(model.path, architecture(model.path)))
        return None

    def on_found(self, message: Found) -> None:
        """The list grows."""
        self.become(replace(self.state, models=(*self.state.models, message.model)))

    def on_searched(self, message: Searched) -> None:
        """The list is whole, or says why it is not."""
        self.become(replace(self.state, searching=False, notice=message.problem or self.state.notice))

    def on_described(self, message: Described) -> None:
        """A row says more; one that no longer matches what is typed goes."""
        self.become(replace(self.state, kinds=(*self.state.kinds, (message.path, message.text))).moved(0))

    def on_running(self, message: Running) -> None:
        """Named above the list."""
        self.become(replace(self.state, running=message.servers))

    def on_opened(self, message: Opened) -> None:
        """On to the app."""
        path = None if "://" in message.model else Path(message.model)
        self.exit(replace(self.session, path=path, request=message.request, machine=message.request.machine))

    def on_not_opened(self, message: NotOpened) -> None:
        """A sentence; another model may be chosen."""
        self.become(replace(self.state, opening=False, notice=message.problem))

    # -- keys ------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Every printable key types; the others move, open and leave."""
        event.stop()
        if event.key == "escape" and self.state.typed:
            self.become(replace(self.state, typed="").moved(0))
        elif event.key in ("escape", "ctrl+q", "ctrl+c"):
            self.exit(None)
        elif event.key == "enter":
            self._open(self.state.chosen)
        else:
            self.become(self.state.after(event.key, event.character))

    def _open(self, model: str) -> None:
        if model and not self.state.opening:
            self.become(replace(self.state, opening=True, notice=""))
            self.work("opening the model", partial(_opened, self.opener, model), NotOpened)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """The list for the room there is."""
        if self.is_running:
            self.pane.update()

    def _lines(self, width: int, height: int) -> tuple[Line, ...]:
        return padded(picker_lines(self.state, width, height), width, height)


def _running() -> Message:
    return Running(tuple(named(record) for record in survivors() if is_alive(record)))


def _opened(opener: Callable[[str], Request], model: str) -> Message:
    return Opened(model, opener(model))


def picker(session: Session, look: Theme, opener: Callable[[str], Request]) -> PickerApp:
    """The list of the models in this machine's usual places."""
    return PickerApp(session, look, usual_places(os.environ, Path.home(), Path.cwd()), opener)
