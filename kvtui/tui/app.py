"""The terminal app: panes drawn from one frozen state, keys that make a new one, workers that answer by messages."""

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Event, Key, Resize

from kvtui.tui.changes import Change, apply_edit, pinned, with_next_type, with_pair, with_preset
from kvtui.tui.commands import COMMANDS, footer_text, shown_key
from kvtui.tui.lines import Line, both_ends, line, padded
from kvtui.tui.messages import Failed, LivePolled, Notice, PlanReady, RowsReady, ServersFound
from kvtui.tui.panes import head_lines, kv_lines, log_lines, memory_lines, placement_lines
from kvtui.tui.server_pane import ServerPane
from kvtui.tui.session import Session
from kvtui.tui.state import State
from kvtui.tui.themes import chosen_theme, load_themes
from kvtui.tui.widgets.lines_pane import LinesPane
from kvtui.tui.worker import work

if TYPE_CHECKING:
    from kvtui.placement.request import Request

SMALLEST, FOLDED, WIDE = (60, 20), (80, 24), (120, 36)  # columns, lines
LIVE_SECONDS, LOG_SECONDS = 1.0, 0.5


class KvtuiApp(App[bool]):
    """Three panes and a log. Its result is True where the person wants another model."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { layout: vertical; overflow: hidden; } LinesPane { width: 100%; height: auto; } .hidden { display: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(c.key, c.action, c.name, show=False) for c in COMMANDS]

    def __init__(self, session: Session) -> None:
        self.themes, self.broken_themes = load_themes()
        self.look = chosen_theme(self.themes, session.theme, os.environ)
        super().__init__(ansi_color=self.look.ansi)
        self.session = session
        assert session.request is not None
        self.state = State(session.request, simulated=session.simulated)
        self.past: list[Request] = []
        self.future: list[Request] = []
        self.editing: tuple[str, str] | None = None  # (what, text so far)
        self.page: tuple[str, tuple[Line, ...]] | None = None  # a page over the panes: its title and lines
        self.page_at = 0
        self.log_back = 0
        self.asking_to_quit = False
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
        self.server.find(launch=False)

    def on_resize(self, _: Resize) -> None:
        """The room changed."""
        self.draw()

    def on_unmount(self) -> None:
        """Workers stop waiting; a server that was not told to stay is stopped."""
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

    def on_servers_found(self, message: ServersFound) -> None:
        """llama-server binaries."""
        self.server.found(message)

    def notice(self, text: str) -> None:
        """A sentence in the footer, until the next change."""
        self.state = replace(self.state, notice=text)
        self.draw()

    def _poll_live(self) -> None:
        if not self.session.simulated and not self.session.demo:
            from kvtui.tui.live import poll_live

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
        body = height - 2
        shown: dict[str, tuple[Line, ...]] = {"head": tuple(head_lines(self.state, width))}
        if self.page is not None:
            name, lines = self.page
            self.page_at = max(0, min(self.page_at, len(lines) - body + 1))
            heading = both_ends(line((f" {name} ", "title-focus")), line(("Esc closes, PgUp and PgDn scroll ", "dim")), width)
            shown["page"] = padded([heading, *lines[self.page_at :]], width, body)
        else:
            shown |= self._body(width, body)
        shown["footer"] = (self._footer(width),)
        self._show(shown, height)
        return None

    def _body(self, width: int, height: int) -> dict[str, tuple[Line, ...]]:
        """Heights of the panes: all of them, or only the focused one where there is little room."""
        state = self.state
        folded = width < FOLDED[0] or height + 2 < FOLDED[1]
        if folded or state.zoomed:
            return {state.focus: self._pane(state.focus, width, height)}
        memory = min(len(state.request.machine.devices) + 2 + bool(state.problem), max(height // 3, 4))
        table = min(len(state.rows) + 4, 9 if height < 30 else 16)
        rest = height - memory - table
        shown = {"memory": self._pane("memory", width, memory), "kv": self._pane("kv", width, table)}
        roomy = height + 2 >= WIDE[1]
        if state.log_shown and not roomy:
            shown["log"] = self._pane("log", width, rest)
        elif state.log_shown or (roomy and state.server.running):
            shown["placement"] = self._pane("placement", width, rest // 2)
            shown["log"] = self._pane("log", width, rest - rest // 2)
        else:
            shown["placement"] = self._pane("placement", width, rest)
        return shown

    def _pane(self, name: str, width: int, height: int) -> tuple[Line, ...]:
        state = self.state
        if name == "memory":
            return padded(memory_lines(state, width, height), width, height)
        if name == "kv":
            return padded(kv_lines(state, width, height), width, height)
        if name == "log":
            return padded(log_lines(state, width, height, self.log_back), width, height)
        return padded(placement_lines(state, width, height), width, height)

    def _show(self, shown: dict[str, tuple[Line, ...]], height: int) -> None:
        for name, pane in self.panes.items():
            lines = shown.get(name)
            pane.set_class(lines is None, "hidden")
            if lines is not None:
                pane.styles.height = len(lines)
                pane.show(lines)

    def _footer(self, width: int) -> Line:
        if self.editing is not None:
            what, text = self.editing
            return line((f" {what}: {text}_", "strong"), ("   Enter takes it, Esc leaves it", "dim"))
        if self.asking_to_quit:
            return line((" llama-server is running: ", "warning"), "s stop it and quit, l leave it running, Esc stay")
        if self.state.notice:
            return line((f" {self.state.notice}", "warning"))
        return line((f" {footer_text(width)}", "dim"))

    def screen_text(self) -> str:
        """All panes that are shown, as a person reads them."""
        return "\n".join(p.text() for p in self.panes.values() if not p.has_class("hidden"))

    # -- keys ------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Text being typed, and answers to a question, come before the bindings."""
        if self.editing is not None:
            event.prevent_default()
            event.stop()
            self._type(event)
        elif self.asking_to_quit:
            event.prevent_default()
            event.stop()
            self._answer(event.key)

    async def on_event(self, event: Event) -> None:
        """Keys go to `on_key` first while something is typed: bindings would take them."""
        if isinstance(event, Key) and (self.editing is not None or self.asking_to_quit):
            self.on_key(event)
            return
        await super().on_event(event)

    def _type(self, event: Key) -> None:
        assert self.editing is not None
        what, text = self.editing
        if event.key == "escape":
            self.editing = None
        elif event.key == "enter":
            self.editing = None
            self._changed(apply_edit(self.state.request, what, text))
        elif event.key in ("backspace", "ctrl+h"):
            self.editing = (what, text[:-1])
        elif event.character and event.character.isprintable() and len(text) < 24:
            self.editing = (what, text + event.character)
        self.draw()

    def _answer(self, key: str) -> None:
        self.asking_to_quit = False
        if key == "l":
            self.server.leave()
            self.exit()
        elif key == "s":
            self.notice("stopping llama-server")
            self.server.stop(then_exit=True)
        else:
            self.draw()

    def _changed(self, change: Change) -> None:
        self.change(change.request, change.notice)

    def action_next_k(self) -> None:
        """The next K type."""
        self._changed(with_next_type(self.state.request, "k"))

    def action_next_v(self) -> None:
        """The next V type."""
        self._changed(with_next_type(self.state.request, "v"))

    def action_pair(self, step: int) -> None:
        """Another row of the table."""
        rows = [r for r in self.state.rows if r.accepted]
        context = self.state.request.context
        at = next((i for i, r in enumerate(rows) if (r.type_k, r.type_v) == (context.type_k, context.type_v)), 0)
        if self.page is not None:
            self.action_scroll(-step)
        elif rows:
            row = rows[max(0, min(at + step, len(rows) - 1))]
            self._changed(with_pair(self.state.request, row.type_k, row.type_v))

    def action_preset(self, number: int) -> None:
        """One of the four presets."""
        self._changed(with_preset(self.state.request, number))

    def action_edit(self, what: str) -> None:
        """Type a value."""
        self.editing = (what, "")
        self.draw()

    def action_pin(self) -> None:
        """Pin the block under the cursor."""
        if self.state.focus != "placement":
            self.action_focus_pane("placement")
        else:
            self._changed(pinned(self.state.request, self.state.cursor))

    def action_unpin(self) -> None:
        """Take all pins back."""
        self.change(replace(self.state.request, pins=()), "no pins")

    def action_move(self, step: int) -> None:
        """Another block."""
        last = self.state.request.model.n_layer_all
        self.state = replace(self.state, focus="placement", cursor=max(0, min(self.state.cursor + step, last)))
        self.draw()

    def action_launch(self) -> None:
        """Start llama-server."""
        self.server.launch()

    def action_stop(self) -> None:
        """Stop llama-server."""
        self.server.stop(then_exit=False)

    def action_copy(self) -> None:
        """The command, to the clipboard and on a page."""
        plan = self.state.plan
        if plan is None:
            return
        from kvtui.tui.pages import command_page, command_text

        self.copy_to_clipboard(command_text(plan, self.session.path))
        self._open("command, copied", command_page(plan, self.session.path, self.size.width))

    def action_explain(self) -> None:
        """Formulas with their numbers."""
        from kvtui.tui.pages import explain_page

        self._open("where the figures come from", explain_page(self.state, self.size.width))

    def action_help(self) -> None:
        """All keys."""
        lines = tuple(line((f"  {shown_key(c):6}", "key"), (f"{c.name:22}", "strong"), c.help) for c in COMMANDS)
        self._open("keys", lines)

    def _open(self, name: str, lines: tuple[Line, ...]) -> None:
        self.page, self.page_at = (name, lines), 0
        self.draw()

    async def action_back(self) -> None:
        """Close the page, or the notice."""
        self.page = None
        self.state = replace(self.state, notice="", zoomed=False)
        self.draw()

    def action_scroll(self, lines: int) -> None:
        """A page of help, or the log."""
        if self.page is not None:
            self.page_at -= lines
        else:
            self.log_back = max(0, min(self.log_back + lines, max(len(self.state.log) - 1, 0)))
        self.draw()

    def action_undo(self) -> None:
        """The request before."""
        if self.past:
            self.future.append(self.state.request)
            self._take(self.past.pop(), "undone")

    def action_redo(self) -> None:
        """The request that was undone."""
        if self.future:
            self.past.append(self.state.request)
            self._take(self.future.pop(), "done again")

    def action_focus_pane(self, name: str) -> None:
        """Keys go to this pane."""
        self.state = replace(self.state, focus=name)
        self.draw()

    def action_toggle_log(self) -> None:
        """Show or hide the log."""
        shown = not self.state.log_shown
        self.state = replace(self.state, log_shown=shown, focus="log" if shown else "kv")
        self.draw()

    def action_zoom(self) -> None:
        """Only this pane."""
        self.state = replace(self.state, zoomed=not self.state.zoomed)
        self.draw()

    def action_next_theme(self) -> None:
        """The next theme."""
        names = sorted(self.themes)
        self.look = self.themes[names[(names.index(self.look.name) + 1) % len(names)]]
        self._use_look()
        self.notice(f"theme: {self.look.name}")

    def action_quit_app(self) -> None:
        """Leave; a running server is asked about."""
        if self.server.running:
            self.asking_to_quit = True
            self.draw()
        else:
            self.exit()

    def action_open_model(self) -> None:
        """Another model, from the list."""
        if self.server.running:
            self.notice("llama-server is running: x stops it; then o opens another model")
        elif self.session.opener is not None:
            self.exit(True)


def run_app(session: Session) -> None:
    """Run the app in this terminal, a model after the other until the person leaves."""
    lean = session.lean if session.lean is not None else "SSH_CONNECTION" in os.environ
    while True:
        if session.request is None:
            from kvtui.tui.picker import choose

            assert session.opener is not None
            chosen = choose(session, chosen_theme(load_themes()[0], session.theme, os.environ), session.opener)
            if chosen is None:
                return
            session = chosen
        if not KvtuiApp(session).run(mouse=not lean):
            return
        session = replace(session, path=None, request=None)
