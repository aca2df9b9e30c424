"""The background thread's work: a plan at once, the table, then the proof. A newer request stops all of it."""

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from textual.message import Message

from kvtui.placement.advice import advised
from kvtui.placement.plan import Plan, improve, quick_plan, with_batch
from kvtui.placement.request import Request
from kvtui.placement.table import iter_rows
from kvtui.tasks.history import with_learned, with_proof
from kvtui.tasks.lessons import lesson_of
from kvtui.tui.work.messages import LessonReady, PlanReady, RowsReady

if TYPE_CHECKING:
    from kvtui.server.measure.measured import Measurement

PATIENCE_SECONDS = 0.3  # a key may follow: the table's contexts and the solver wait for so long


def answer(
    request: Request,
    known: tuple["Measurement", ...],
    generation: int,
    post: Callable[[Message], object],
    superseded: Event,
) -> Message | None:
    """Answers `request`, with what the measurements `known` teach, by messages, the last one returned; None where
    `superseded` came first. Raises UsageError."""
    plan = quick_plan(with_learned(request, known=known))
    if superseded.is_set():
        return None
    post(PlanReady(generation, with_proof(plan), final=False))
    post(RowsReady(generation, tuple(advised(list(iter_rows(plan, all_pairs=False, contexts=False)))), complete=False))
    if superseded.wait(PATIENCE_SECONDS):
        return None
    larger = with_batch(plan)  # before the table, whose contexts depend on it
    if superseded.is_set():
        return None
    if larger is not plan:
        plan = larger
        post(PlanReady(generation, with_proof(plan), final=False))
    rows = []
    for row in iter_rows(plan, all_pairs=False):
        rows.append(row)
        if superseded.is_set():
            return None
    post(RowsReady(generation, tuple(advised(rows)), complete=True))
    better = improve(plan, should_stop=superseded.is_set)
    return None if superseded.is_set() else PlanReady(generation, with_proof(better), final=True)


def lesson(request: Request, plan: Plan, known: tuple["Measurement", ...], generation: int) -> Message:
    """What `known` would change of that generation's plan."""
    return LessonReady(generation, lesson_of(request, plan, known))
