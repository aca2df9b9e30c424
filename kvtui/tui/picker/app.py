"""Choosing a model: the GGUF files of this machine, a filter as one types, a path or URL typed whole, or one of a
repository's quantizations."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from textual.app import ComposeResult
from textual.events import Key, Paste
from textual.message import Message

from kvtui.header.address import ModelAddress
from kvtui.header.shelf import Place, ShelfModel, architecture, shelf_models, usual_places
from kvtui.placement.request import Request
from kvtui.server.process.record import is_alive
from kvtui.server.process.start import survivors
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.lines import Line, padded
from kvtui.tui.picker.listing import Fitted, Listed, NotListed, Reading, list_repository
from kvtui.tui.picker.repository import RepositoryView
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

    opening: Event
    model: str
    request: Request


@dataclass
class NotOpened(Message):
    """Why a model could not be opened; one sentence."""

    opening: Event
    problem: str


@dataclass
class NotLooked(Message):
    """Why running servers are not named; one sentence."""

    problem: str


class PickerApp(GuardedApp[Session]):
    """Its result is the session with a model, or None where the person left."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { layout: vertical; overflow: hidden; } LinesPane { width: 100%; height: 100%; }"

    def __init__(self, session: Session, look: Theme, places: tuple[Place, ...], opener: Callable[[str], Request]) -> None:
        super().__init__(ansi_color=look.ansi, lean=session.is_lean(os.environ))
        self.session, self.look, self.places, self.opener = session, look, places, opener
        self.state = PickerState(typed=session.asked, behind=session.request.model.name if session.request is not None else "")
        self.opening = Event()  # of the model that was chosen; set once nobody waits for it
        self.listing = Event()  # of the repository in front; set once nobody waits for it
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
        self.work("looking for servers that run", _running, NotLooked)
        self.draw()
        if self.state.lists:
            self._list(self.state.typed)

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
        if not self._awaited(message.opening):
            return
        address = ModelAddress(message.model)
        path, remote = (None, address) if address.is_remote else (address.path, None)
        request = message.request
        self._leave(replace(self.session, path=path, remote=remote, request=request, machine=request.machine, asked=""))

    def on_not_opened(self, message: NotOpened) -> None:
        """A sentence; another model may be chosen."""
        if not self._awaited(message.opening):
            return
        view = self.state.repository
        view = view and replace(view, opening=False, notice=message.problem)
        self.become(replace(self.state, opening=False, notice="" if view else message.problem, repository=view))

    def on_not_looked(self, message: NotLooked) -> None:
        """A sentence; the list goes on."""
        self.become(replace(self.state, notice=message.problem))

    def _awaited(self, opening: Event) -> bool:
        return opening is self.opening and not opening.is_set()

    def _give_up(self) -> None:
        """Nobody waits for the model that was being opened: what it answers is dropped."""
        self.opening.set()
        view = self.state.repository
        notice = "opening was given up"
        view = view and replace(view, opening=False, notice=notice)
        self.become(replace(self.state, opening=False, notice="" if view else notice, repository=view))

    # -- a repository ----------------------------------------------------------------------------------------------

    def _list(self, name: str) -> None:
        self.listing.set()
        self.listing = ended = Event()
        self.become(replace(self.state, repository=RepositoryView(name), notice=""))
        job = partial(list_repository, name, self.session.options, ended, self.post_message)
        self.work("listing the repository", job, partial(NotListed, ended), left_behind=True)

    def _repository(self, ended: Event) -> RepositoryView | None:
        """The view that a message of the listing `ended` is for."""
        return self.state.repository if ended is self.listing and not ended.is_set() else None

    def on_listed(self, message: Listed) -> None:
        """The Hub has answered."""
        if (view := self._repository(message.ended)) is not None:
            self.become(replace(self.state, repository=view.listed(message.usual, message.offers)))

    def on_reading(self, message: Reading) -> None:
        """How far it is."""
        if (view := self._repository(message.ended)) is not None:
            self.become(replace(self.state, repository=replace(view, read_bytes=message.read_bytes)))

    def on_fitted(self, message: Fitted) -> None:
        """The next row."""
        if (view := self._repository(message.ended)) is not None:
            self.become(replace(self.state, repository=replace(view, rows=(*view.rows, message.row), read_bytes=0)))

    def on_not_listed(self, message: NotListed) -> None:
        """Back to what was typed, with the sentence, where there is no list; else below it."""
        if (view := self._repository(message.ended)) is None:
            return
        if view.offers:
            self.become(replace(self.state, repository=replace(view, notice=message.problem)))
        else:
            self.become(replace(self.state, repository=None, notice=message.problem))

    # -- keys ------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Every printable key types; the others move, open and leave."""
        event.stop()
        if event.key == "escape" and self.state.opening:
            self._give_up()
        elif event.key == "escape" and self.state.repository is not None:
            self.listing.set()
            self.become(replace(self.state, repository=None))
        elif event.key == "escape" and self.state.typed:
            self.become(replace(self.state, typed="").moved(0))
        elif event.key in ("escape", "ctrl+q", "ctrl+c"):
            self._leave(None)
        elif event.key == "enter" and self.state.lists:
            self._list(self.state.typed)
        elif event.key == "enter":
            self._open(self.state.chosen)
        else:
            self.become(self.state.after(event.key, event.character))

    def on_paste(self, event: Paste) -> None:
        """As if it were typed; a repository's name is listed at once."""
        event.stop()
        if self.state.repository is None:
            self.become(self.state.with_text("".join(c for c in event.text.strip() if c.isprintable())))
            if self.state.lists:
                self._list(self.state.typed)

    def _open(self, model: str) -> None:
        if model and not self.state.opening:
            view = self.state.repository
            self.opening = opening = Event()
            self.become(replace(self.state, opening=True, notice="", repository=view and replace(view, opening=True, notice="")))
            self.work(
                "opening the model", partial(_opened, self.opener, opening, model), partial(NotOpened, opening), left_behind=True
            )

    def _leave(self, session: Session | None) -> None:
        self.listing.set()
        self.exit(session)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """The list for the room there is."""
        if self.is_running:
            self.pane.update()

    def _lines(self, width: int, height: int) -> tuple[Line, ...]:
        return padded(picker_lines(self.state, width, height), width, height)


def _running() -> Message:
    return Running(tuple(named(record) for record in survivors() if is_alive(record)))


def _opened(opener: Callable[[str], Request], opening: Event, model: str) -> Message:
    return Opened(opening, model, opener(model))


def picker(session: Session, look: Theme, opener: Callable[[str], Request]) -> PickerApp:
    """The list of the models in this machine's usual places."""
    return PickerApp(session, look, usual_places(os.environ, Path.home(), Path.cwd()), opener)
