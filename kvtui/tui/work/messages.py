"""What workers tell the app: one message a result. Handlers own the state; a message carries values and no code."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from kvtui.hardware.device import Device, HostMemory
from kvtui.hardware.holders import NOBODY, HeldNow
from kvtui.tui.state import LiveMemory

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.placement.review import Review
    from kvtui.placement.table import PairRow
    from kvtui.report.guide import Guide
    from kvtui.report.peaks import Peaks
    from kvtui.server.measure.speeds import SeenRate
    from kvtui.tasks.lessons import Lesson


@dataclass
class PlanReady(Message):
    """A plan for the request of that generation; `final`: no better one will come."""

    generation: int
    plan: "Plan"
    final: bool


@dataclass
class LessonReady(Message):
    """What was measured since would change of that generation's plan."""

    generation: int
    lesson: "Lesson"


@dataclass
class RatesKnown(Message):
    """What servers showed on this machine by now, newest first."""

    rates: tuple["SeenRate", ...]


@dataclass
class RowsReady(Message):
    """Rows of the K/V table; `complete`: with the largest contexts."""

    generation: int
    rows: tuple["PairRow", ...]
    complete: bool


@dataclass
class SquareReady(Message):
    """Rows of the pairs that the table does not have, as far as they are known; `contexts`: all of them with the largest ones."""

    generation: int
    rows: tuple["PairRow", ...]
    contexts: bool


@dataclass
class GuideReady(Message):
    """The guide for the plan on the screen; `formula`: where its figures for Kimi come from."""

    guide: "Guide"
    formula: str


@dataclass
class ReviewReady(Message):
    """A command looked over; `model`: the file it was looked over with, "" for what has none here; `same_model`: it is the one
    on the screen."""

    review: "Review"
    model: str
    same_model: bool


@dataclass
class NotReviewed(Message):
    """Why a command could not be looked over; one sentence."""

    text: str


@dataclass
class PlanFailed(Message):
    """The work on that generation's request ended with one sentence."""

    generation: int
    text: str


@dataclass
class PeaksReady(Message):
    """What is alive at the peaks of the plan that was on the screen."""

    peaks: "Peaks"


@dataclass
class LivePolled(Message):
    """Memory in use now: `devices`, RAM last. `problem`: why there are no devices. `held`: who is on them."""

    devices: tuple[Device, ...]
    live: tuple[LiveMemory, ...]
    problem: str
    held: HeldNow = NOBODY


@dataclass
class LiveFailed(Message):
    """Memory in use could not be read; one sentence."""

    text: str


@dataclass
class RamMeasured(Message):
    """RAM with its bandwidth as it was measured; None: it could not be."""

    ram: HostMemory | None


@dataclass
class Notice(Message):
    """A sentence for the person."""

    text: str
