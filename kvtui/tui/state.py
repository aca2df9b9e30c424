"""What the screen shows: one frozen value; a change of a key makes a new one."""

from dataclasses import dataclass, field

from kvtui.placement.plan import Plan
from kvtui.placement.request import Request
from kvtui.placement.table import PairRow
from kvtui.server.log import LogLine

PANES = ("memory", "kv", "placement", "log")


@dataclass(frozen=True)
class LiveMemory:
    """Bytes used on a device or in RAM right now, by everybody; `note`: utilization, temperature, power."""

    used_bytes: int
    note: str = ""


@dataclass(frozen=True)
class ServerView:
    """The server's state in words, and where it answers."""

    text: str = ""
    url: str = ""
    running: bool = False
    actual: tuple[tuple[str, int, int, int], ...] = ()  # device, model, context, compute bytes of its own log


@dataclass(frozen=True)
class State:
    """Everything the panes are drawn from."""

    request: Request
    generation: int = 0
    plan: Plan | None = None
    rows: tuple[PairRow, ...] = ()
    rows_complete: bool = False
    working: str = ""  # "searching", "improving", or ""
    focus: str = "kv"
    zoomed: bool = False
    log_shown: bool = False
    cursor: int = 0  # block under the cursor of the placement pane
    simulated: bool = False
    live: tuple[LiveMemory, ...] = ()  # devices, RAM last
    server: ServerView = field(default_factory=ServerView)
    log: tuple[LogLine, ...] = ()
    build: str = ""
    notice: str = ""
    problem: str = ""  # why no GPU is shown
