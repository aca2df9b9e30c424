"""What workers tell the app: one message a result; the app's handlers own the state."""

from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from kvtui.placement.plan import Plan
from kvtui.placement.table import PairRow
from kvtui.server.binary.inspect import ServerBinary
from kvtui.tui.state import LiveMemory


@dataclass
class PlanReady(Message):
    """A plan for the request of that generation; `final`: no better one will come."""

    generation: int
    plan: Plan
    final: bool


@dataclass
class RowsReady(Message):
    """Rows of the K/V table; `complete`: with the largest contexts."""

    generation: int
    rows: tuple[PairRow, ...]
    complete: bool


@dataclass
class Failed(Message):
    """A worker could not do what was asked; one sentence."""

    generation: int
    text: str


@dataclass
class LivePolled(Message):
    """Memory in use now: devices, RAM last. `problem`: why there are no devices."""

    live: tuple[LiveMemory, ...]
    problem: str


@dataclass
class ServersFound(Message):
    """llama-server binaries; `launch`: a key asked for a launch."""

    servers: tuple[ServerBinary, ...]
    launch: bool
    problem: str = ""


@dataclass
class Answered(Message):
    """A job off the event loop is done: `apply` says what comes of it, on the loop."""

    apply: Callable[[], None]


@dataclass
class Notice(Message):
    """A sentence for the person."""

    text: str
