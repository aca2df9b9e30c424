"""The background threads' work on the table beside a plan's own: all pairs, the guide's page."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING

from textual.message import Message

from kvtui.placement.table import rows_of
from kvtui.tasks.guide import guide_of
from kvtui.tui.work.messages import GuideReady, SquareReady

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

_AT_ONCE = 9  # rows a message: a line of the square


def square(
    plan: "Plan",
    generation: int,
    wanted: Sequence[tuple[str, str]],
    contexts: bool,
    post: Callable[[Message], object],
    superseded: Event,
) -> Message | None:
    """The pairs that are `wanted` for `plan`, told as they come, the last message returned; None where `superseded` came
    first."""
    rows = []
    for row in rows_of(plan, wanted, contexts=contexts):
        if superseded.is_set():
            return None
        rows.append(row)
        if len(rows) % _AT_ONCE == 0:
            post(SquareReady(generation, tuple(rows), contexts=False))
    return SquareReady(generation, tuple(rows), contexts=contexts)


def guide_page(plan: "Plan") -> Message:
    """The guide with its costs for `plan`."""
    return GuideReady(*guide_of(plan))
