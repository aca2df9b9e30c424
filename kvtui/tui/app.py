"""The terminal app: what each key does. The keys are declared in `keys.commands`."""

from dataclasses import replace
from functools import partial

from textual.events import Event, Key

from kvtui.tui.draw.body import page_room
from kvtui.tui.draw.pages import command_page, command_text, explain_page, help_page
from kvtui.tui.keys.asking import Choice, Menu, Prompt, Question
from kvtui.tui.keys.changes import Change, apply_edit, pinned, with_next_type, with_pair, with_preset
from kvtui.tui.keys.commands import COMMANDS, LOG, PAGE, PLACEMENT, TABLE, command_for, shown_key
from kvtui.tui.log_view import LogView
from kvtui.tui.server.using import ServerDesk


class KvtuiApp(ServerDesk):
    """The desk with its keys: all of `keys.actions.Actions`."""

    async def on_event(self, event: Event) -> None:
        """A key goes to what asks, else to what is in front; only a key that neither knows goes on."""
        if isinstance(event, Key) and self._take_key(event):
            event.prevent_default()
            event.stop()
            return
        await super().on_event(event)

    def _take_key(self, event: Key) -> bool:
        if self.state.before is not None:
            self.become(replace(self.state, before=None))
        asking = self.state.asking
        if asking is not None:
            after = asking.press(event.key, event.character)
            if self.state.asking is asking:  # an answer may have opened the next question
                self.become(replace(self.state, asking=after))
            return True
        command = command_for(event.key, self.state.front)
        if command is not None:
            command.do(self)
        return command is not None or self.state.page is not None

    # -- the request -----------------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        self.change(change.request, change.notice)

    def next_type(self, side: str) -> None:
        """The next K or V type."""
        self._changed(with_next_type(self.state.request, side))

    def step_pair(self, step: int) -> None:
        """Another row of the table."""
        rows = [r for r in self.state.rows if r.accepted]
        context = self.state.request.context
        at = next((i for i, r in enumerate(rows) if (r.type_k, r.type_v) == (context.type_k, context.type_v)), 0)
        if rows:
            row = rows[max(0, min(at + step, len(rows) - 1))]
            self._changed(with_pair(self.state.request, row.type_k, row.type_v))

    def use_preset(self, number: int) -> None:
        """One of the four presets."""
        self._changed(with_preset(self.state.request, number))

    def edit_value(self, what: str) -> None:
        """Type a value."""
        self.ask(Prompt(what, lambda text: self._changed(apply_edit(self.state.request, what, text))))

    def pin_block(self) -> None:
        """Pin the block under the cursor, once it is seen."""
        if self.state.focus != PLACEMENT:
            self.focus_pane(PLACEMENT)
        else:
            self._changed(pinned(self.state.request, self.state.cursor))

    def drop_pins(self) -> None:
        """Take all pins back."""
        self.change(replace(self.state.request, pins=()), "no pins")

    def step_block(self, step: int) -> None:
        """Another block."""
        last = self.state.request.model.n_layer_all
        self.become(replace(self.state, cursor=max(0, min(self.state.cursor + step, last))))

    # -- the log ---------------------------------------------------------------------------------------------------

    def search_log(self) -> None:
        """Type words; only lines with them are shown."""

        def hear(text: str) -> None:
            self._show_log(self.state.log.filtered(words=text))

        prompt = Prompt("search the log", hear, hear, limit=80)
        self.become(replace(self.state, log_shown=True, focus=LOG, asking=prompt))

    def next_log_level(self) -> None:
        """All, no debug, warnings, errors."""
        self._show_log(self.state.log.next_level())

    def follow_log(self) -> None:
        """Follow the newest line, or stay."""
        self._show_log(self.state.log.follow(not self.state.log.following))

    def scroll_log(self, lines: int) -> None:
        """Older or newer lines."""
        self.become(replace(self.state, log=self.state.log.scrolled(lines)))

    def _show_log(self, log: LogView) -> None:
        self.become(replace(self.state, log=log, log_shown=True))

    # -- pages and lists -------------------------------------------------------------------------------------------

    def copy_command(self) -> None:
        """The command, to the clipboard and on a page."""
        plan = self.state.plan
        if plan is None:
            self.notice("the plan is not ready yet")
            return
        self.copy_to_clipboard(command_text(plan, self.session.path))
        self.open_page("command, copied", command_page(plan, self.session.path, self.size.width))

    def explain_figures(self) -> None:
        """Formulas with their numbers."""
        self.open_page("where the figures come from", explain_page(self.state, self.size.width))

    def show_help(self) -> None:
        """All keys."""
        self.open_page("keys", help_page())

    def show_commands(self) -> None:
        """All actions by name."""
        rows = tuple(Choice(f"{c.name:24} {shown_key(c):7} {c.help}", partial(c.do, self)) for c in COMMANDS if c.pane != PAGE)
        self.ask(Menu("commands", rows))

    def close_page(self) -> None:
        """The panes again."""
        self.become(replace(self.state, page=None, notice=""))

    def scroll_page(self, lines: int) -> None:
        """Further down, or up."""
        if self.state.page is not None:
            self.become(replace(self.state, page=self.state.page.scrolled(lines, page_room(self.size.height), self.size.width)))

    # -- the screen ------------------------------------------------------------------------------------------------

    def go_back(self) -> None:
        """Away with the notice and the zoom."""
        self.become(replace(self.state, notice="", zoomed=False))

    def focus_pane(self, name: str) -> None:
        """Keys go to this pane."""
        self.become(replace(self.state, focus=name))

    def toggle_log(self) -> None:
        """Show or hide the log."""
        shown = not self.state.log_shown
        self.become(replace(self.state, log_shown=shown, focus=LOG if shown else TABLE))

    def zoom_pane(self) -> None:
        """Only this pane."""
        self.become(replace(self.state, zoomed=not self.state.zoomed))

    def next_theme(self) -> None:
        """The next theme."""
        names = sorted(self.themes)
        self.look = self.themes[names[(names.index(self.look.name) + 1) % len(names)]]
        self.use_look()
        self.notice(f"theme: {self.look.name}")

    def leave(self) -> None:
        """Leave; a running server is asked about, unless another kvtui controls it."""
        process = self.server.process
        if process is None or not process.is_running() or process.read_only:
            self.exit()
            return
        stop = ("stop it and quit", lambda: self.stop_server("exit"))
        self.ask(Question("llama-server is running", {"s": stop, "l": ("leave it running", self.exit)}))

    def open_other_model(self) -> None:
        """Another model, from the list; a running server stays, and is found again."""
        if self.session.opener is None:
            self.notice("there is no list of models here: kvtui without a name opens it")
        else:
            self.exit(True)
