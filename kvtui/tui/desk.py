"""The desk: one frozen state, panes drawn from it, workers that answer by messages. What keys do is in `app`."""

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.timer import Timer

from kvtui.base.late import Late
from kvtui.placement.advice import advised
from kvtui.placement.request import Request
from kvtui.server.measure.measured import Measurement, measurements
from kvtui.tasks.last_request import keep_last
from kvtui.tui.draw.body import in_sight, page_room, screen
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.draw.matrix import ALL_PAIRS, needs_rows, square_column
from kvtui.tui.draw.room import Room, draws_unicode
from kvtui.tui.draw.two_plans import TWO_PLANS, two_plans_lines
from kvtui.tui.keys.asking import Asking
from kvtui.tui.lines import Line
from kvtui.tui.session import Session
from kvtui.tui.state import Page, State
from kvtui.tui.taste import Taste, known_taste, remember_taste
from kvtui.tui.themes import chosen_theme, load_themes
from kvtui.tui.work.boundary import GuardedApp

if TYPE_CHECKING:
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.tasks.own_speed import known_rates, with_own_speed
    from kvtui.tui.work.live import poll_live
    from kvtui.tui.work.messages import (
        LessonReady,
        LiveFailed,
        LivePolled,
        Notice,
        PlanFailed,
        PlanReady,
        RatesKnown,
        RowsReady,
        SquareReady,
    )
    from kvtui.tui.work.pairs import square
    from kvtui.tui.work.planning import answer, lesson
else:  # not needed by the first screen
    known_rates = Late("kvtui.tasks.own_speed", "known_rates")
    with_own_speed = Late("kvtui.tasks.own_speed", "with_own_speed")
    poll_live = Late("kvtui.tui.work.live", "poll_live")
    square = Late("kvtui.tui.work.pairs", "square")
    answer = Late("kvtui.tui.work.planning", "answer")
    lesson = Late("kvtui.tui.work.planning", "lesson")
    LiveFailed = Late("kvtui.tui.work.messages", "LiveFailed")
    PlanFailed = Late("kvtui.tui.work.messages", "PlanFailed")
    RatesKnown = Late("kvtui.tui.work.messages", "RatesKnown")

LIVE_SECONDS, LEAN_LIVE_SECONDS = 1.5, 4.5
_MATTER = ("half the cache", "largest context", "launch", "help", "commands")  # what the first run names
RETRY_SECONDS = 60.0  # what is done all the time and broke is tried again after so long


class Desk(GuardedApp[State]):
    """Three panes and a log. Its result is its last state where the person wants another model."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { overflow: hidden; } LinesPane { width: 100%; height: 100%; }"

    def __init__(self, session: Session, state: State | None = None) -> None:
        self.themes, self.broken_themes = load_themes()
        self.taste = Taste(hinted=True) if session.demo else known_taste()
        self.look = chosen_theme(self.themes, session.theme, os.environ, self.taste.theme)
        super().__init__(ansi_color=self.look.ansi, lean=session.is_lean(os.environ))
        self.session = session
        assert session.request is not None
        plain = state or State(session.request, simulated=session.simulated, model_flags=session.model_flags)
        self.state = replace(plain, commands=session.commands)
        if not session.demo and not self.state.known:
            self.state = self.state.knowing(measurements())
        self.unicode = draws_unicode(os.environ) if session.unicode is None else session.unicode
        self.superseded = threading.Event()  # set once a newer request, or the end, stops the work on this one
        self.pane = LinesPane(self._lines, id="screen")
        self._live_timer: Timer | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """One widget: the panes and their frames are lines of it."""
        yield self.pane

    def on_mount(self) -> None:
        """Colours, the first plan, and the timer of what is in use."""
        self.use_look()
        self._take(self.state.request, self.broken_themes[0] if self.broken_themes else self.state.notice or self._first_hint())
        if not self.session.simulated and not self.session.demo:
            self._live_timer = self.set_interval(LEAN_LIVE_SECONDS if self.lean else LIVE_SECONDS, self._poll_live)
            self.work("reading what was measured", lambda: RatesKnown(known_rates()))

    def _first_hint(self) -> str:
        """The keys that matter, the first time."""
        if self.taste.hinted:
            return ""
        self.remember(replace(self.taste, hinted=True))
        half, largest, launch, keys, find = map(self.state.key, _MATTER)
        acts = f"{half} halves the cache, {largest} takes the largest context, {launch} launches"
        return f"the keys that matter: {acts}; {keys} names all, {find} finds any"

    def remember(self, taste: Taste) -> None:
        """For the next run; the demo leaves no trace."""
        self.taste = taste
        if not self.session.demo:
            remember_taste(taste)

    def on_unmount(self) -> None:
        """Workers stop; what was asked is kept for the next time, however this one ends."""
        self.superseded.set()
        if not self.session.demo and (self.state.past or self.state.future):
            keep_last(self.state.here(self.state.mine))

    # -- the state -------------------------------------------------------------------------------------------------

    def become(self, state: State) -> None:
        """Another state, drawn. Only what runs on the event loop calls this: handlers of messages, keys and timers."""
        self.state = state
        self.draw()

    def notice(self, text: str) -> None:
        """A sentence above the footer, until the next key."""
        self.become(replace(self.state, notice=text))

    def ask(self, asking: Asking) -> None:
        """Open a prompt, a question or a list."""
        self.become(replace(self.state, asking=asking))

    def open_page(self, title: str, lines: tuple[Line, ...]) -> None:
        """A page over the panes."""
        self.become(replace(self.state, page=Page(title, lines)))

    def refresh_page(self, title: str, lines: tuple[Line, ...]) -> None:
        """Other lines for that page, if it is the one that is open."""
        page = self.state.page
        if page is not None and page.title == title:
            self.become(replace(self.state, page=replace(page, lines=lines)))

    # -- plans -----------------------------------------------------------------------------------------------------

    def change(self, request: Request, notice: str = "") -> None:
        """A person's change: kept for undo, answered by the worker."""
        if request == self.state.request:
            self.notice(notice)
            return
        self.state = replace(self.state, past=(*self.state.past, self.state.asked), future=(), launch_waits=False)
        self._take(request, notice)

    def undo_change(self) -> None:
        """The request before."""
        if self.state.past:
            *past, asked = self.state.past
            future = (*self.state.future, self.state.asked)
            self.state = replace(self.state, past=tuple(past), future=future, known=asked.known, launch_waits=False)
            self._take(asked.request, "undone")

    def redo_change(self) -> None:
        """The request that was undone."""
        if self.state.future:
            *future, asked = self.state.future
            past = (*self.state.past, self.state.asked)
            self.state = replace(self.state, past=past, future=tuple(future), known=asked.known, launch_waits=False)
            self._take(asked.request, "done again")

    def taught(self, known: tuple[Measurement, ...]) -> None:
        """Something was measured: the same plan again, with what is known of it now; what would change is looked at."""
        self.state = replace(self.state, newer=known)
        self._take(self.state.request, self.state.notice)

    def use_lesson(self) -> None:
        """The same request, planned with what was measured; what moved is marked."""
        state = self.state
        if state.lesson is None or state.lesson.known == state.known:
            self.notice("nothing was measured that the plan does not count")
            return
        self.state = replace(
            state,
            past=(*state.past, state.asked),
            future=(),
            known=state.lesson.known,
            newer=state.lesson.known,
            launch_waits=False,
        )
        self._take(state.request, f"planned with what was measured here; {state.key('undo')} takes it back")

    def on_lesson_ready(self, message: "LessonReady") -> None:
        """Told, and one key away; what changes nothing counts from now on."""
        if message.generation != self.state.generation:
            return
        found = message.lesson
        if found.is_one:
            self.become(replace(self.state, lesson=found, notice=found.told(self.state.key("plan with what was measured"))))
        else:
            self.become(replace(self.state, known=found.known, newer=found.known, lesson=None))

    def _look_for_lesson(self) -> None:
        state = self.state
        known, lesson_of = state.newer, state.lesson.known if state.lesson is not None else state.known
        if state.plan is not None and known not in (state.known, lesson_of):
            request, plan, generation = state.request, state.plan, state.generation
            self.work("looking at what was measured", lambda: lesson(request, plan, known, generation))

    def use_build(self, binary: "ServerBinary") -> None:
        """Plans are for the build that will run and the kernels it has, unless another build was asked for; the demo is one of
        the usual build, whatever is found."""
        self.become(replace(self.state, build=f"{binary.build} found" if binary.build else "llama-server found"))
        request = self.state.request
        wanted = replace(request, server=binary.identity)
        if self.session.build is None and not self.session.demo:
            wanted = replace(wanted, build=binary.rules or request.build, fa_quants=binary.fa_quants)
        if wanted != request:
            self._take(wanted, self.state.notice)

    def _take(self, request: Request, notice: str) -> None:
        self.superseded.set()
        superseded = self.superseded = threading.Event()
        self.become(self.state.taking(request, notice))
        generation, known = self.state.generation, self.state.known
        self.work(
            "planning",
            lambda: answer(request, known, generation, self.post_message, superseded),
            lambda text: PlanFailed(generation, text),
        )

    def on_plan_ready(self, message: "PlanReady") -> None:
        """A plan; an old one is dropped."""
        if message.generation == self.state.generation:
            plan = with_own_speed(message.plan, self.session.address.args, self.state.rates)
            self.become(self.state.with_plan(plan, message.final))
            self.refresh_page(TWO_PLANS, tuple(two_plans_lines(self.state, self.page_room())))
            if message.final:
                self._look_for_lesson()

    def on_rates_known(self, message: "RatesKnown") -> None:
        """The plan that ran has its own speed from now on: it moves no tensor, so it shows at once."""
        state = replace(self.state, rates=message.rates)
        if state.plan is not None:
            plan = with_own_speed(state.plan, self.session.address.args, message.rates)
            state = state.with_plan(plan, state.working == "")
        self.become(state)

    def on_rows_ready(self, message: "RowsReady") -> None:
        """Rows of the table."""
        if message.generation == self.state.generation:
            rows = message.rows
            if not message.complete and self.state.rows_complete:  # keep the contexts on screen until new ones come
                known = {(r.type_k, r.type_v): r for r in self.state.rows}
                rows = tuple(replace(r, max_context=k.max_context) if (k := known.get((r.type_k, r.type_v))) else r for r in rows)
            self.become(replace(self.state, rows=rows, rows_of=message.generation, rows_complete=message.complete))
            if message.complete:
                self.fill_square()

    def fill_square(self) -> None:
        """All pairs in the background, where they are shown and not yet there or on their way."""
        state, view = self.state, self.state.view
        shown = view.square or in_sight("matrix", state, self.room(*self.size))
        contexts = view.all_pairs or (shown and square_column(state).slow)
        wanted = (state.generation, contexts)
        if state.plan is None or not state.rows_complete or not (view.all_pairs or (shown and needs_rows(state))):
            return
        if state.square_asked in (wanted, (state.generation, True)):
            return
        self.become(replace(state, square_asked=wanted, square_contexts=False))
        plan, superseded, there = state.plan, self.superseded, {r.pair for r in state.rows}
        more = [p for p in ALL_PAIRS if p not in there]
        self.work("the table of all pairs", lambda: square(plan, wanted[0], more, contexts, self.post_message, superseded))

    def on_square_ready(self, message: "SquareReady") -> None:
        """More of all pairs; those of an earlier plan stay until there are new ones."""
        if message.generation == self.state.generation:
            known = {r.pair: r for r in (*self.state.square, *message.rows, *self.state.rows)}
            rows = tuple(advised([known[p] for p in ALL_PAIRS if p in known]))
            self.become(replace(self.state, square=rows, square_contexts=self.state.square_contexts or message.contexts))

    def on_plan_failed(self, message: "PlanFailed") -> None:
        """What was asked cannot be, or the work on it broke."""
        if message.generation == self.state.generation:
            self.become(self.state.without_answer(message.text))

    def on_notice(self, message: "Notice") -> None:
        """A worker's sentence."""
        self.notice(message.text)

    # -- memory in use ---------------------------------------------------------------------------------------------

    def _poll_live(self) -> None:
        devices = self.state.request.machine.devices
        self.work("reading the memory in use", lambda: poll_live(devices), LiveFailed)

    def on_live_polled(self, message: "LivePolled") -> None:
        """Memory in use now, of the devices on the screen."""
        if message.devices != self.state.request.machine.devices:
            return
        state = self.state.with_live(message.live, message.problem, message.held)
        self.become(replace(state, history=()) if self.lean else state)  # no sparklines there

    def on_live_failed(self, message: "LiveFailed") -> None:
        """Figures of the start are shown until it can be read again."""
        if self._live_timer is not None:
            self._live_timer.pause()
            self.set_timer(RETRY_SECONDS, self._live_timer.resume)
        self.become(replace(self.state, live=(), notice=message.text))

    # -- drawing ---------------------------------------------------------------------------------------------------

    def use_look(self) -> None:
        """The theme's colours, everywhere."""
        self.ansi_color = self.look.ansi
        if not self.look.ansi:
            self.screen.styles.background = self.look.background
        self.pane.use_styles(self.look.styles)

    def draw(self) -> None:
        """Show what changed."""
        if self.is_running:
            self.pane.update()

    def room(self, width: int, height: int) -> Room:
        """What there is to draw in."""
        return Room(width, height, self.unicode, self.look.coloured)

    def page_room(self) -> Room:
        """Inside the frame of a page."""
        return self.room(max(self.size.width - 2, 1), page_room(self.state, self.room(*self.size)))

    def _lines(self, width: int, height: int) -> tuple[Line, ...]:
        return screen(self.state, self.room(width, height))

    def screen_text(self) -> str:
        """What is shown, as a person reads it."""
        return self.pane.text()
