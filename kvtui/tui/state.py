"""What the screen shows: one frozen value; a change of a key makes a new one."""

from dataclasses import dataclass, field

from kvtui.placement.plan import Plan
from kvtui.placement.request import Request
from kvtui.placement.table import PairRow
from kvtui.tui.draw.log_view import LogView

PANES = ("memory", "kv", "placement", "log")


@dataclass(frozen=True)
class LiveMemory:
    """Bytes used on a device or in RAM right now, by everybody; `note`: utilization, temperature, power."""

    used_bytes: int
    note: str = ""


@dataclass(frozen=True)
class ServerView:
    """The server's state in words, where it answers, and what it is busy with. `used` of `context` tokens are in its
    slots; `rate`: tokens a second of the last answers. `controlled_by`: pid of another kvtui that has it."""

    text: str = ""
    url: str = ""
    running: bool = False
    ready: bool = False
    used: int = 0
    context: int = 0
    rate: float | None = None
    controlled_by: int | None = None
    job: str = ""  # "stress 40 %"
    actual: tuple[tuple[str, int, int, int], ...] = ()  # device, model, context, compute bytes of its own log

    @property
    def status(self) -> str:
        """The status line: state, context in use, speed, and who controls it."""
        parts = [self.job or self.text]
        if self.ready and self.running:
            parts += [f"ctx {self.used:,}/{self.context:,}"] if self.context else []
            parts += [f"{self.rate:.1f} tok/s"] if self.rate else []
        parts += [f"read only, pid {self.controlled_by} has it"] if self.controlled_by and self.running else []
        return "  ".join(p for p in parts if p)


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
    log: LogView = field(default_factory=LogView)
    build: str = ""
    notice: str = ""
    problem: str = ""  # why no GPU is shown
