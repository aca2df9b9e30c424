"""The background thread's work: a plan at once, the table, then the proof. A newer generation stops all of it."""

from collections.abc import Callable

from textual.message import Message

from kvtui.base.findings import UsageError
from kvtui.placement.plan import improve, quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import iter_rows
from kvtui.tasks.history import with_learned, with_proof
from kvtui.tui.work.messages import Failed, PlanReady, RowsReady

PATIENCE_SECONDS = 0.3  # a key may follow: the table's contexts and the solver wait for so long


def work(request: Request, generation: int, post: Callable[[Message], object], stale: Callable[[float], bool]) -> None:
    """Answers `request` by messages. `stale(seconds)` waits so long and says whether a newer request is there."""
    try:
        request = with_learned(request)
        plan = quick_plan(request)
        if stale(0):
            return
        post(PlanReady(generation, with_proof(plan), final=False))
        post(RowsReady(generation, tuple(iter_rows(plan, all_pairs=False, contexts=False)), complete=False))
        if stale(PATIENCE_SECONDS):
            return
        rows = []
        for row in iter_rows(plan, all_pairs=False):
            rows.append(row)
            if stale(0):
                return
        post(RowsReady(generation, tuple(rows), complete=True))
        better = improve(plan, should_stop=lambda: stale(0))
        if not stale(0):
            post(PlanReady(generation, with_proof(better), final=True))
    except UsageError as e:
        post(Failed(generation, str(e)))
