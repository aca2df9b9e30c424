"""A plan that nobody changes any more is held to llama-server's own dry run, in the background, before anybody launches it."""

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.placement.request import Request
from kvtui.tui.desk import Desk
from kvtui.tui.dry_runs import key_of
from kvtui.tui.session import Session
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.measure.dry_run import DryRun
    from kvtui.tui.server import jobs
    from kvtui.tui.server.messages import DryRunHeard
    from kvtui.tui.work.messages import PlanReady
else:  # not needed by the first screen
    DryRun = Late("kvtui.server.measure.dry_run", "DryRun")
    jobs = Late("kvtui.tui.server.jobs")
    DryRunHeard = Late("kvtui.tui.server.messages", "DryRunHeard")

IDLE_SECONDS = 0.7  # after the last word of the search: a key may follow, and a dry run opens every GPU


class CheckingDesk(Desk):
    """The desk that asks llama-server about the plan on the screen: one question at a time, called off by the next change."""

    def __init__(self, session: Session, state: State | None = None) -> None:
        super().__init__(session, state)
        self._called_off = threading.Event()
        self.asks_server = False  # while a question is on its way

    def on_unmount(self) -> None:
        """Nobody waits for an answer any more."""
        self.call_off()

    def call_off(self) -> None:
        """End the question that is on its way: it takes memory of every GPU while it lasts."""
        self._called_off.set()

    def _take(self, request: Request, notice: str) -> None:
        self.call_off()
        super()._take(request, notice)

    def on_plan_ready(self, message: "PlanReady") -> None:
        """The last plan of a request is asked about, after the desk has taken it."""
        if message.final:
            self.ask_soon()

    def ask_soon(self) -> None:
        """Ask once nothing has changed for a moment."""
        self.set_timer(IDLE_SECONDS, partial(self._ask, self.state.generation))

    def question(self) -> tuple["ServerBinary", Path, "Plan"] | None:
        """Whom to ask about which plan of which file; None where there is nobody, or nothing that is not known yet. A server
        that runs has the memory that a dry run would count as free."""
        state, path, plan = self.state, self.session.path, self.state.plan
        if self.session.simulated or self.session.demo or state.what_if or state.working or state.server.running:
            return None
        if path is None or plan is None or not plan.fits or not state.binaries:
            return None
        binary = state.binaries[0]
        return None if state.dry_runs.knows(key_of(binary, plan)) else (binary, path, plan)

    def _ask(self, generation: int) -> None:
        question = self.question()
        if generation != self.state.generation or self.asks_server or question is None:
            return
        binary, path, plan = question
        self.asks_server, self._called_off = True, threading.Event()
        self.work(
            "the dry run of this plan",
            partial(jobs.hear_dry_run, binary, path, plan, self._called_off),
            lambda text: DryRunHeard(key_of(binary, plan), DryRun(binary.build, impossible=text)),
        )

    def on_dry_run_heard(self, message: "DryRunHeard") -> None:
        """Kept, and shown with the plan that it is about; what was called off is asked again once that is quiet."""
        self.asks_server = False
        if message.answer is None:
            self.ask_soon()
        else:
            self.become(replace(self.state, dry_runs=self.state.dry_runs.plus(message.key, message.answer)))
