"""The desk: one frozen state, panes drawn from it, workers that answer by messages. What keys do is in `app`."""

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import App, ComposeResult
from textual.events import Event, Key, Resize

from kvtui.base.build import build_in
from kvtui.tui.draw.body import SMALLEST, body
from kvtui.tui.draw.lines import Line, line, padded
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.draw.panes import head_lines
from kvtui.tui.keys.asking import Asking, page_heading
from kvtui.tui.keys.commands import footer_text
from kvtui.tui.server.pane import ServerPane
from kvtui.tui.session import Session
from kvtui.tui.state import State
from kvtui.tui.themes import chosen_theme, load_themes
from kvtui.tui.work.messages import Answered, Failed, LivePolled, Notice, PlanReady, RowsReady
from kvtui.tui.work.worker import work

if TYPE_CHECKING:
    from kvtui.placement.request import Request
    from kvtui.server.binary.inspect import ServerBinary

LIVE_SECONDS, LOG_SECONDS, STATUS_SECONDS = 1.0, 0.25, 2.0


class Desk(App[bool]):
    """Three panes and a log. Its result is True where the person wants another model."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { layout: vertical; overflow: hidden; } LinesPane { width: 100%; height: auto; } .hidden { display: none; }"

    def __init__(self, session: Session) -> None:
        self.themes, self.broken_themes = load_themes()
        self.look = chosen_theme(self.themes, session.theme, os.environ)
        super().__init__(ansi_color=self.look.ansi)
        self.session = session
        assert session.request is not None
        self.state = State(session.request, simulated=session.simulated)
        self.past: list[Request] = []
        self.future: list[Request] = []
        self.asking: Asking | None = None  # takes the keys while it is there
        self.page: tuple[str, tuple[Line, ...]] | None = None  # a page over the panes: its title and lines
        self.page_at = 0
        self.wake = threading.Condition()
        self.server = ServerPane(self)
        self.panes = {name: LinesPane(id=name) for name in ("head", "memory", "kv", "placement", "log", "page", "footer")}

    # -- life ------------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """All panes; which are shown depends on the room."""
        yield from self.panes.values()

    def on_mount(self) -> None:
        """Colours, the first plan, and the timers."""
        self._use_look()
        self._replan()
        if self.broken_themes:
            self.notice(self.broken_themes[0])
        self.set_interval(LIVE_SECONDS, self._poll_live)
        self.set_interval(LOG_SECONDS, self.server.poll)
        self.set_interval(STATUS_SECONDS, self.server.tools.status)
        self.server.find(launch=False)
        self.server.look_for_survivors()

    def on_resize(self, _: Resize) -> None:
        """The room changed."""
        self.draw()

    def on_unmount(self) -> None:
        """Workers stop waiting; a server that was not told to stop stays."""
        with self.wake:
            self.state = replace(self.state, generation=self.state.generation + 1)
            self.wake.notify_all()
        self.server.close()

    # -- the state -------------------------------------------------------------------------------------------------

    def change(self, request: "Request", notice: str = "") -> None:
        """A person's change: kept for undo, answered by the worker."""
        if request == self.state.request:
            self.notice(notice)
            return
        self.past.append(self.state.request)
        self.future.clear()
        self._take(request, notice)

    def _take(self, request: "Request", notice: str) -> None:
        with self.wake:
            self.state = replace(
                self.state, request=request, generation=self.state.generation + 1, notice=notice, working="searching"
            )
            self.wake.notify_all()
        self._replan()

    def replan(self) -> None:
        """The same request again: something was learned."""
        self._take(self.state.request, self.state.notice)

    def use_build(self, binary: "ServerBinary") -> None:
        """Plans are for the build that will run and the kernels it has, unless another build was asked for."""
        self.state = replace(self.state, build=f"{binary.build} found" if binary.build else "llama-server found")
        request = self.state.request
        wanted = replace(request, server=binary.identity)
        if self.session.build is None:
            wanted = replace(wanted, build=build_in(binary.build) or request.build, fa_quants=binary.fa_quants)
        if wanted != request:
            self._take(wanted, self.state.notice)
        self.draw()

    def _replan(self) -> None:
        generation, request = self.state.generation, self.state.request
        self.state = replace(self.state, working="searching")
        self.draw()

        def stale(seconds: float) -> bool:
            with self.wake:
                return (
                    self.wake.wait_for(lambda: self.state.generation != generation, seconds)
                    if seconds
                    else (self.state.generation != generation)
                )

        self.run_worker(lambda: work(request, generation, self.post_message, stale), thread=True, exit_on_error=False)

    def on_plan_ready(self, message: PlanReady) -> None:
        """A plan; an old one is dropped."""
        if message.generation == self.state.generation:
            self.state = replace(self.state, plan=message.plan, working="" if message.final else "improving")
            self.draw()

    def on_rows_ready(self, message: RowsReady) -> None:
        """Rows of the table."""
        if message.generation == self.state.generation:
            rows = message.rows
            if not message.complete and self.state.rows_complete:  # keep the contexts on screen until new ones come
                known = {(r.type_k, r.type_v): r for r in self.state.rows}
                rows = tuple(replace(r, max_context=k.max_context) if (k := known.get((r.type_k, r.type_v))) else r for r in rows)
            self.state = replace(self.state, rows=rows, rows_complete=message.complete)
            self.draw()

    def on_failed(self, message: Failed) -> None:
        """What was asked cannot be."""
        if message.generation == self.state.generation:
            self.state = replace(self.state, working="")
            self.notice(message.text)

    def on_notice(self, message: Notice) -> None:
        """A worker's sentence."""
        self.notice(message.text)

    def on_live_polled(self, message: LivePolled) -> None:
        """Memory in use now."""
        if (message.live, message.problem) != (self.state.live, self.state.problem):
            self.state = replace(self.state, live=message.live, problem=message.problem)
            self.draw()

    def on_answered(self, message: Answered) -> None:
        """A job of the server's is done."""
        message.apply()

    def notice(self, text: str) -> None:
        """A sentence in the footer, until the next change."""
        self.state = replace(self.state, notice=text)
        self.draw()

    def _poll_live(self) -> None:
        if not self.session.simulated and not self.session.demo:
            from kvtui.tui.work.live import poll_live

            devices = self.state.request.machine.devices
            self.run_worker(
                lambda: self.post_message(poll_live(devices)), thread=True, group="live", exclusive=False, exit_on_error=False
            )

    # -- drawing ---------------------------------------------------------------------------------------------------

    def _use_look(self) -> None:
        self.ansi_color = self.look.ansi
        if not self.look.ansi:
            self.screen.styles.background = self.look.background
        for pane in self.panes.values():
            pane.set_styles_table(self.look.styles)

    def draw(self) -> None:
        """Lay the panes out for the room, and show what changed."""
        if not self.is_running:
            return None
        width, height = self.size
        if width < SMALLEST[0] or height < SMALLEST[1]:
            text = f"kvtui needs {SMALLEST[0]} x {SMALLEST[1]}, here are {width} x {height}"
            return self._show({"page": (line((text, "warning")),)}, height)
        room = height - 2
        shown: dict[str, tuple[Line, ...]] = {"head": tuple(head_lines(self.state, width))}
        asked = self.asking.page(width, room) if self.asking is not None else None
        if asked is not None:
            shown["page"] = padded([page_heading(asked[0], "", width), *asked[1]], width, room)
        elif self.page is not None:
            name, lines = self.page
            self.page_at = max(0, min(self.page_at, len(lines) - room + 1))
            heading = page_heading(name, "Esc closes, PgUp and PgDn scroll", width)
            shown["page"] = padded([heading, *lines[self.page_at :]], width, room)
        else:
            shown |= body(self.state, width, room)
        shown["footer"] = (self._footer(width),)
        self._show(shown, height)
        return None

    def _show(self, shown: dict[str, tuple[Line, ...]], height: int) -> None:
        for name, pane in self.panes.items():
            lines = shown.get(name)
            pane.set_class(lines is None, "hidden")
            if lines is not None:
                pane.styles.height = len(lines)
                pane.show(lines)

    def _footer(self, width: int) -> Line:
        if self.asking is not None:
            return self.asking.footer(width)
        if self.state.notice:
            return line((f" {self.state.notice}", "warning"))
        return line((f" {footer_text(width)}", "dim"))

    def screen_text(self) -> str:
        """All panes that are shown, as a person reads them."""
        return "\n".join(p.text() for p in self.panes.values() if not p.has_class("hidden"))

    # -- keys ------------------------------------------------------------------------------------------------------

    async def on_event(self, event: Event) -> None:
        """What asks gets the keys before the bindings do."""
        if isinstance(event, Key) and self.asking is not None:
            event.prevent_default()
            event.stop()
            asking = self.asking
            if not asking.press(event.key, event.character) and self.asking is asking:
                self.asking = None
            self.draw()
            return
        await super().on_event(event)

    def ask(self, asking: Asking) -> None:
        """Open a prompt, a question or a list."""
        self.asking = asking
        self.draw()

    def open_page(self, name: str, lines: tuple[Line, ...]) -> None:
        """A page over the panes."""
        self.page, self.page_at = (name, lines), 0
        self.draw()

    def refresh_page(self, name: str, lines: tuple[Line, ...]) -> None:
        """Other lines for that page, if it is the one that is open."""
        if self.page is not None and self.page[0] == name:
            self.page = (name, lines)
            self.draw()
