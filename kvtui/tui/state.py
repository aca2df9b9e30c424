"""What the screen shows: one frozen value; a change of a key makes a new one."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kvtui.hardware.device import HostMemory, Machine
from kvtui.hardware.holders import NOBODY, HeldNow
from kvtui.placement.request import Request
from kvtui.tasks.last_request import LastRequest
from kvtui.tui.dry_runs import DryRuns
from kvtui.tui.keys.asking import Asking
from kvtui.tui.keys.command import PAGE, Command, When
from kvtui.tui.keys.commands import COMMANDS, key_named
from kvtui.tui.keys.marking import Marking
from kvtui.tui.keys.what_if import Had, as_had
from kvtui.tui.lines import Line, folded_line
from kvtui.tui.log_view import LogView
from kvtui.tui.session import NO_FILE
from kvtui.tui.table_view import TableView
from kvtui.tui.watched import Watched

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.placement.table import PairRow
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.log.out_of_memory import OutOfMemory
    from kvtui.server.measure.measured import Measurement
    from kvtui.server.measure.speeds import SeenRate
    from kvtui.tasks.lessons import Lesson

SEARCHING, IMPROVING = "searching", "improving"
HISTORY_SAMPLES = 40  # of the memory in use: a minute


@dataclass(frozen=True)
class LiveMemory:
    """Bytes used on a device or in RAM right now, by everybody; `note`: utilization, temperature, power."""

    used_bytes: int
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A page over the panes; `at`: its first line on the screen; `takes`: the request that Enter makes of it, if it does."""

    title: str
    lines: tuple[Line, ...]
    at: int = 0
    takes: Request | None = None

    def scrolled(self, by: int, room: int, width: int) -> "Page":
        """`by` lines down (up where negative), kept so that `room` lines, the heading too, are filled; its lines are folded to
        `width` columns, frame included."""
        count = sum(len(folded_line(content, width - 2)) for content in self.lines)
        return replace(self, at=max(0, min(self.at + by, count - room + 1)))


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
    actual: tuple[tuple[str, int | None, int, int], ...] = ()  # device, model (None: mapped), context, compute bytes of its log
    runs: str = ""  # "q8_0 32k, port 8080": what it was launched with
    model: str = ""  # the file of another model than the one on the screen; "": the same
    predicted: tuple[tuple[str, int, int, int], ...] = ()  # the same four by the plan it was launched with
    watched: Watched = field(default_factory=Watched)

    @property
    def status_parts(self) -> tuple[str, ...]:
        """The status line: state, context in use, speed, and who controls it."""
        parts = [self.job or self.text]
        if self.ready and self.running:
            parts += [f"ctx {self.used:,}/{self.context:,}"] if self.context else []
            parts += [f"{self.rate:.1f} tok/s"] if self.rate else []
        parts += [f"read only, pid {self.controlled_by} has it"] if self.controlled_by and self.running else []
        return tuple(p for p in parts if p)


@dataclass(frozen=True)
class Asked:
    """What a change can be taken back to: a request, and the measurements that its plan counts."""

    request: Request
    known: tuple["Measurement", ...]


@dataclass(frozen=True)
class KeptPlan:
    """A plan put aside, to be held against what follows."""

    asked: Asked
    plan: "Plan"


@dataclass(frozen=True)
class State:
    """Everything the screen is drawn from."""

    request: Request
    known: tuple["Measurement", ...] = ()  # what the plan counts
    newer: tuple["Measurement", ...] = ()  # the same and what was measured since
    lesson: "Lesson | None" = None  # what `newer` would change, once that is known
    rates: tuple["SeenRate", ...] = ()  # what servers showed here, newest first
    generation: int = 0
    past: tuple[Asked, ...] = ()  # undo, the newest last
    future: tuple[Asked, ...] = ()  # redo, the next one last
    running: LastRequest | None = None  # what the server that runs this model was asked for
    no_room: "OutOfMemory | None" = None  # why the last load ended
    other: LastRequest | None = None  # what was on the screen when `running` came there
    plan: "Plan | None" = None
    before: "Plan | None" = None  # of the last change: what lies elsewhere since is marked until the next key
    rows: tuple["PairRow", ...] = ()
    rows_of: int = 0  # the generation that `rows` answer
    rows_complete: bool = False
    square: tuple["PairRow", ...] = ()  # all pairs, as they come
    square_contexts: bool = False  # with the largest contexts
    square_asked: tuple[int, bool] = (0, False)  # the generation that `square` is for, and whether contexts were asked for
    commands: tuple[Command, ...] = COMMANDS  # with the keys of the person's config
    view: TableView = field(default_factory=TableView)
    working: str = ""  # SEARCHING, IMPROVING, or ""
    focus: str = "kv"  # the pane that keys go to: memory, kv, placement, log
    zoomed: bool = False
    log_shown: bool = False
    cursor: int = 0  # block under the cursor of the placement pane
    simulated: bool = False  # all of the machine
    ram_asked: bool = False  # whether RAM's bandwidth was measured, or is being
    kept: KeptPlan | None = None  # A, while the screen shows B
    had: Had | None = None  # before the machine was last supposed another
    model_flags: tuple[str, ...] = NO_FILE  # llama-server's options for the model
    live: tuple[LiveMemory, ...] = ()  # devices, RAM last
    history: tuple[tuple[int, ...], ...] = ()  # used bytes of the last HISTORY_SAMPLES polls, the newest last
    polls: int = 0  # all that there were
    server: ServerView = field(default_factory=ServerView)
    log: LogView = field(default_factory=LogView)
    binaries: tuple["ServerBinary", ...] = ()  # llama-servers that can be used, the chosen first
    dry_runs: DryRuns = field(default_factory=DryRuns)
    declined: tuple[str, ...] = ()  # sentences on those that cannot
    launch_waits: bool = False  # a launch was asked for while its plan was being made
    build: str = ""
    asking: Asking | None = None  # takes the keys while it is there
    page: Page | None = None
    notice: str = ""  # one sentence for the person, until the next key
    failed: str = ""  # why there is no answer to the request, until the next one
    held: HeldNow = NOBODY  # who is on the devices
    problem: str = ""  # why no GPU is shown

    def key(self, name: str) -> str:
        """The key of a command, as a person reads it."""
        return key_named(self.commands, name)

    @property
    def asked(self) -> Asked:
        """What undo comes back to."""
        return Asked(self.request, self.known)

    def knowing(self, known: tuple["Measurement", ...]) -> "State":
        """Plans count these, those of undo and redo too."""
        past, future = (tuple(replace(a, known=known) for a in stack) for stack in (self.past, self.future))
        return replace(self, known=known, newer=known, lesson=None, past=past, future=future)

    def on_machine(self, machine: Machine) -> "State":
        """The same requests for other free memory."""
        past, future = (
            tuple(replace(a, request=replace(a.request, machine=machine)) for a in stack) for stack in (self.past, self.future)
        )
        return replace(self, request=replace(self.request, machine=machine), past=past, future=future)

    def with_ram(self, ram: HostMemory) -> "State":
        """The same requests with what RAM's bandwidth was measured as, on the machine that is here too."""
        machine = self.request.machine
        measured = replace(machine.ram, bandwidth=ram.bandwidth, bandwidth_source=ram.bandwidth_source)
        state, had = self.on_machine(replace(machine, ram=measured)), self.had
        if had is None:
            return state
        there = replace(had.request.machine, ram=measured)
        return replace(state, had=replace(had, request=replace(had.request, machine=there)))

    @property
    def shows_running(self) -> bool:
        """Whether what is asked is what the running server was asked for."""
        return self.running is not None and self.running.over(self.request, frozenset()) == self.request

    @property
    def mine(self) -> Request:
        """What a person asked for last: not what was only shown because it runs."""
        return self.other.over(self.request, frozenset()) if self.other is not None and self.shows_running else self.request

    @property
    def holding(self) -> frozenset[When]:
        """What is so, for the keys that need it."""
        runs, mine = self.server.running, self.running is not None
        others = {
            When.RUNS_OTHER: runs and mine and not self.shows_running,
            When.HAS_OTHER: self.mine != self.request,
            When.NO_ROOM: self.no_room is not None and not runs,
            When.TAKES: self.page is not None and self.page.takes is not None,
            When.KEEPS: self.kept is not None,
            When.LEARNED: self.lesson is not None and self.lesson.known != self.known,
        }
        return frozenset({When.ALWAYS, *([When.RUNS] if runs else []), *(w for w, holds in others.items() if holds)})

    @property
    def front(self) -> str:
        """What the keys go to: the page that is open, or the pane in focus."""
        return PAGE if self.page is not None else self.focus

    @property
    def what_if(self) -> bool:
        """Whether the machine is one that a person supposes."""
        return self.had is not None and self.request.machine.devices != self.had.request.machine.devices

    def here(self, request: Request) -> Request:
        """`request` on the machine that is here, whichever is supposed."""
        return as_had(request, self.had) if self.had is not None and self.what_if else request

    @property
    def pair(self) -> tuple[str, str]:
        """The types that are asked for: (K, V)."""
        return self.request.context.type_k, self.request.context.type_v

    @property
    def pairs(self) -> tuple["PairRow", ...]:
        """What the table has: the pairs worth a look, or all that there are where they are wanted and known."""
        return self.square if self.view.all_pairs and self.square else self.rows

    @property
    def pairs_complete(self) -> bool:
        """Whether nothing more of `pairs` is coming."""
        return self.square_contexts if self.view.all_pairs and self.square else self.rows_complete

    @property
    def marked(self) -> range:
        """Blocks that are marked; empty where none is."""
        return self.asking.blocks if isinstance(self.asking, Marking) else range(0)

    def taking(self, request: Request, notice: str) -> "State":
        """Another request, to be answered by a plan of the next generation."""
        here = self if request.machine.devices == self.request.machine.devices else self._of_no_machine()
        return replace(
            here,
            request=request,
            generation=self.generation + 1,
            notice=notice,
            failed="",
            working=SEARCHING,
            before=here.plan,
        )

    def with_plan(self, plan: "Plan", final: bool) -> "State":
        """The answer to the request, or a better one; A too, where it was asked the same."""
        kept = replace(self.kept, plan=plan) if self.kept is not None and self.kept.asked == self.asked else self.kept
        return replace(self, plan=plan, working="" if final else IMPROVING, kept=kept)

    def _of_no_machine(self) -> "State":
        """Without what counts devices of the machine before."""
        return replace(self, plan=None, rows=(), square=(), square_contexts=False, live=(), history=())

    def left(self) -> "State":
        """What is kept while the list of models is open: all but what is asked and what belongs to the server, which is found
        again."""
        return replace(
            self,
            asking=None,
            page=None,
            notice="",
            live=(),
            server=ServerView(),
            log=LogView(),
            running=None,
            no_room=None,
            launch_waits=False,
        )

    def with_live(self, live: tuple[LiveMemory, ...], problem: str, held: HeldNow = NOBODY) -> "State":
        """Another poll of the memory in use."""
        history = (*self.history, tuple(use.used_bytes for use in live))[-HISTORY_SAMPLES:]
        return replace(self, live=live, held=held, problem=problem, history=history, polls=self.polls + 1)

    def without_answer(self, text: str) -> "State":
        """The work on this request ended with a sentence: what is on the screen of an earlier one goes."""
        plan = self.plan if self.working == IMPROVING else None
        rows = self.rows if self.rows_of == self.generation else ()
        return replace(self, plan=plan, rows=rows, square=(), rows_complete=True, working="", failed=text)
