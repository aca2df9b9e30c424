"""The terminal app: what each key does, as actions that make a new state. They are declared in `commands`."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from kvtui.tui.desk import Desk
from kvtui.tui.draw.lines import line
from kvtui.tui.draw.log_view import LogView
from kvtui.tui.keys.asking import Choice, Menu, Prompt, Question
from kvtui.tui.keys.changes import Change, apply_edit, pinned, with_next_type, with_pair, with_preset
from kvtui.tui.keys.commands import COMMANDS, shown_key


class KvtuiApp(Desk):
    """The desk with its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(c.key, c.action, c.name, show=False) for c in COMMANDS]

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
        self.ask(Prompt(what, lambda text: self._changed(apply_edit(self.state.request, what, text))))

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

    def action_server(self, what: str) -> None:
        """Launch, stop, find: what the server pane does."""
        getattr(self.server, what)()

    def action_tool(self, what: str) -> None:
        """Compare, stress, test: what is done with a running server."""
        getattr(self.server.tools, what)()

    def action_stress_all(self) -> None:
        """All slots at once."""
        self.server.tools.stress(all_slots=True)

    def action_search_log(self) -> None:
        """Type words; only lines with them are shown."""
        self.state = replace(self.state, log_shown=True, focus="log")
        hear = lambda text: self._show_log(self.state.log.filtered(words=text))  # noqa: E731 # said once, used twice
        self.ask(Prompt("search the log", hear, hear, limit=80))

    def action_log_level(self) -> None:
        """All, no debug, warnings, errors."""
        self._show_log(self.state.log.next_level())

    def action_follow_log(self) -> None:
        """Follow the newest line, or stay."""
        self._show_log(self.state.log.follow(not self.state.log.following))

    def _show_log(self, log: LogView) -> None:
        self.state = replace(self.state, log=log, log_shown=True)
        self.draw()

    def action_copy(self) -> None:
        """The command, to the clipboard and on a page."""
        plan = self.state.plan
        if plan is None:
            return
        from kvtui.tui.draw.pages import command_page, command_text

        self.copy_to_clipboard(command_text(plan, self.session.path))
        self.open_page("command, copied", command_page(plan, self.session.path, self.size.width))

    def action_explain(self) -> None:
        """Formulas with their numbers."""
        from kvtui.tui.draw.pages import explain_page

        self.open_page("where the figures come from", explain_page(self.state, self.size.width))

    def action_help(self) -> None:
        """All keys."""
        lines = tuple(line((f"  {shown_key(c):6}", "key"), (f"{c.name:22}", "strong"), c.help) for c in COMMANDS)
        self.open_page("keys", lines)

    def action_palette(self) -> None:
        """All actions by name."""

        def picker(action: str) -> Callable[[], object]:
            return lambda: self.call_later(self.run_action, action)

        rows = tuple(
            Choice(f"{c.name:24} {shown_key(c):7} {c.help}", picker(c.action)) for c in COMMANDS if c.action != "palette"
        )
        self.ask(Menu("commands", rows))

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
            self.state = replace(self.state, log=self.state.log.scrolled(lines))
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
        """Leave; a running server is asked about, unless another kvtui controls it."""
        process = self.server.process
        if process is None or not process.is_running() or process.read_only:
            self.exit()
            return
        stop = ("stop it and quit", lambda: self.server.stop(then_exit=True))
        self.ask(Question("llama-server is running", {"s": stop, "l": ("leave it running", self.exit)}))

    def action_open_model(self) -> None:
        """Another model, from the list; a running server stays, and is found again."""
        if self.session.opener is not None:
            self.exit(True)
