"""The terminal app: what each key does. The keys are declared in `keys.commands`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.events import Event, Key, Paste

from kvtui.base.late import Late
from kvtui.tui.comparing import ComparingDesk
from kvtui.tui.draw.body import in_sight
from kvtui.tui.keys.asking import Prompt, Question
from kvtui.tui.keys.changes import (
    EDITS,
    Change,
    apply_edit,
    halved,
    with_largest_context,
    with_next_preferred,
    with_next_type,
    with_pair,
    with_preset,
)
from kvtui.tui.keys.command import LOG, PLACEMENT, TABLE
from kvtui.tui.keys.commands import command_for
from kvtui.tui.keys.marking import Marking
from kvtui.tui.keys.pins import EXPERTS, FFN, pinned, pinned_further, unpinned
from kvtui.tui.log_view import LogView
from kvtui.tui.ram_speed import RamSpeedDesk
from kvtui.tui.reviewing import ReviewDesk

if TYPE_CHECKING:
    from kvtui.report.peaks import plan_peaks
    from kvtui.tui.draw.pages import command_page, command_text, explain_page, help_page
    from kvtui.tui.keys.palette import Palette, why_not
    from kvtui.tui.work.messages import PeaksReady
else:  # not needed by the first screen
    plan_peaks = Late("kvtui.report.peaks", "plan_peaks")
    command_page = Late("kvtui.tui.draw.pages", "command_page")
    command_text = Late("kvtui.tui.draw.pages", "command_text")
    explain_page = Late("kvtui.tui.draw.pages", "explain_page")
    help_page = Late("kvtui.tui.draw.pages", "help_page")
    PeaksReady = Late("kvtui.tui.work.messages", "PeaksReady")
    Palette = Late("kvtui.tui.keys.palette", "Palette")
    why_not = Late("kvtui.tui.keys.palette", "why_not")

EXPLAINED = "where the figures come from"


class KvtuiApp(ReviewDesk, RamSpeedDesk, ComparingDesk):
    """The desk with its keys: all of `keys.actions.Actions`."""

    async def on_event(self, event: Event) -> None:
        """A key goes to what asks, else to what is in front; only a key that neither knows goes on."""
        if isinstance(event, Key) and self._take_key(event):
            event.prevent_default()
            event.stop()
            return
        if isinstance(event, Paste):
            self._take_paste(event)
            return
        await super().on_event(event)

    def _take_key(self, event: Key) -> bool:
        if self.state.notice or self.state.before is not None:
            self.become(replace(self.state, notice="", before=None))
        asking = self.state.asking
        if asking is not None:
            after = asking.press(event.key, event.character)
            if self.state.asking is asking:  # an answer may have opened the next question
                self.become(replace(self.state, asking=after))
            return True
        command = command_for(event.key, self.state.front, self.state.commands)
        if command is not None:
            command.do(self)
        return command is not None or self.state.page is not None

    def _take_paste(self, event: Paste) -> None:
        """Into what asks for text; else nobody hears it."""
        event.prevent_default()
        event.stop()
        asking = self.state.asking
        if asking is not None:
            self.become(replace(self.state, asking=asking.paste(event.text)))

    # -- the request -----------------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        self.change(change.request, change.notice)

    def next_type(self, side: str, step: int) -> None:
        """Another K or V type."""
        self._changed(with_next_type(self.state.request, side, step))

    def halve_cache(self) -> None:
        """Types of half the bytes."""
        self._changed(halved(self.state.request))

    def largest_context(self) -> None:
        """The most there is; its number is in the table's title once the plan knows it."""
        self._changed(with_largest_context(self.state.request))

    def step_pair(self, step: int) -> None:
        """Another row of the table."""
        if self.state.view.square:
            self.next_type("k", step)
            return
        rows = [r for r in self.state.view.rows(self.state.pairs, self.state.pair) if r.accepted]
        context = self.state.request.context
        at = next((i for i, r in enumerate(rows) if (r.type_k, r.type_v) == (context.type_k, context.type_v)), 0)
        if rows:
            row = rows[max(0, min(at + step, len(rows) - 1))]
            self._changed(with_pair(self.state.request, row.type_k, row.type_v))

    def use_preset(self, number: int) -> None:
        """One of the four presets."""
        self._changed(with_preset(self.state.request, number))

    def edit_value(self, what: str) -> None:
        """Type a value; today's stands there."""

        def take(text: str) -> None:
            self._changed(apply_edit(self.state.request, what, text))

        edit = EDITS[what]
        self.ask(Prompt(what, take, text=edit.today(self.state.request), hint=edit.hint, selected=True))

    def prefer_next(self) -> None:
        """Another preferred device, or none."""
        self._changed(with_next_preferred(self.state.request))

    def pin_block(self) -> None:
        """Pin the block under the cursor, once it is seen."""
        if self.state.focus != PLACEMENT:
            self.focus_pane(PLACEMENT)
        else:
            self._changed(pinned_further(self.state.request, self.state.cursor))

    def mark_blocks(self) -> None:
        """From the block under the cursor on."""
        request = self.state.request
        what = EXPERTS if request.model.n_expert else FFN
        names = tuple(d.name for d in request.machine.devices)
        self.ask(Marking(self.state.cursor, names, what, lambda: self.state.cursor, self.step_block, self._pin_blocks))

    def _pin_blocks(self, blocks: range, device: str) -> None:
        request = self.state.request
        self._changed(pinned(request, blocks, device) if device else unpinned(request, blocks))

    def drop_pin(self) -> None:
        """Take one back."""
        self._changed(unpinned(self.state.request, [self.state.cursor]))

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
        self.copy_to_clipboard(command_text(plan, self.session.model_flags))
        self.open_page("command, copied", command_page(plan, self.session.model_flags, self.size.width))

    def explain_figures(self) -> None:
        """Formulas with their numbers; what is alive at each peak follows as soon as it is derived."""
        plan = self.state.plan
        self.open_page(EXPLAINED, explain_page(self.state, self.size.width))
        if plan is not None:
            self.work("deriving what the compute buffers hold", lambda: PeaksReady(plan_peaks(plan)))

    def on_peaks_ready(self, message: "PeaksReady") -> None:
        """The page again, with them, if it is still open."""
        self.refresh_page(EXPLAINED, explain_page(self.state, self.size.width, message.peaks))

    def show_help(self) -> None:
        """All keys, those of the pane one is in first."""
        self.open_page("keys", help_page(self.state.commands, self.state.focus))

    def show_commands(self) -> None:
        """Find a command by letters of its name."""
        state = self.state
        self.ask(Palette(state.commands, lambda c: why_not(c, state.focus, state.holding), lambda c: c.do(self)))

    def close_page(self) -> None:
        """The panes again."""
        self.become(replace(self.state, page=None, notice=""))

    def scroll_page(self, lines: int) -> None:
        """Further down, or up."""
        if self.state.page is not None:
            page = self.state.page.scrolled(lines, self.page_room().height, self.size.width)
            self.become(replace(self.state, page=page))

    # -- the screen ------------------------------------------------------------------------------------------------

    def go_back(self) -> None:
        """All panes again."""
        self.become(replace(self.state, zoomed=False, view=replace(self.state.view, square=False)))

    def focus_pane(self, name: str) -> None:
        """Keys go to this pane."""
        self.become(replace(self.state, focus=name))

    def toggle_log(self) -> None:
        """Show or hide the log."""
        shown = not in_sight("log", self.state, self.room(*self.size))
        self.become(replace(self.state, log_shown=shown, focus=LOG if shown else TABLE))

    def zoom_pane(self) -> None:
        """Only this pane."""
        self.become(replace(self.state, zoomed=not self.state.zoomed))

    def next_theme(self) -> None:
        """The next theme."""
        names = sorted(self.themes)
        self.look = self.themes[names[(names.index(self.look.name) + 1) % len(names)]]
        self.use_look()
        self.remember(replace(self.taste, theme=self.look.name))
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
            self.exit(self.state.left())
