"""The server at hand: its process and record, how far its load is, what it took, and the jobs that run on it. What they
find is posted as messages; nothing here knows the screen."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from kvtui.base.late import Late
from kvtui.hardware.device import Device

if TYPE_CHECKING:
    from kvtui.server.http.client import ServerClient, decode_rate
    from kvtui.server.http.figures import generated
    from kvtui.server.log.lines import LogLine
    from kvtui.server.log.progress import LoadProgress
    from kvtui.server.measure.grown import grown
    from kvtui.server.measure.measured import Measurement
    from kvtui.server.measure.served import Idle, served_since
    from kvtui.server.process import start
    from kvtui.server.process.start import ServerProcess
    from kvtui.tui.server import jobs
    from kvtui.tui.server.messages import JobFailed, LogRead, StatusRead, Stopped, Stopping
    from kvtui.tui.watched import Watched
else:  # not needed by the first screen
    ServerClient = Late("kvtui.server.http.client", "ServerClient")
    decode_rate = Late("kvtui.server.http.client", "decode_rate")
    generated = Late("kvtui.server.http.figures", "generated")
    grown = Late("kvtui.server.measure.grown", "grown")
    Idle = Late("kvtui.server.measure.served", "Idle")
    served_since = Late("kvtui.server.measure.served", "served_since")
    jobs = Late("kvtui.tui.server.jobs")
    LoadProgress = Late("kvtui.server.log.progress", "LoadProgress")
    JobFailed = Late("kvtui.tui.server.messages", "JobFailed")
    LogRead = Late("kvtui.tui.server.messages", "LogRead")
    Stopped = Late("kvtui.tui.server.messages", "Stopped")
    Stopping = Late("kvtui.tui.server.messages", "Stopping")
    start = Late("kvtui.server.process.start")

LOG, STATUS, STRESS, STOP = "reading the log", "asking the server how it is", "the stress pass", "stopping the server"
STATUS_SECONDS = 2.0


class Work(Protocol):
    """Runs a job off the event loop and posts the message it returns; of an exception, `failed` of one sentence."""

    def __call__(self, doing: str, job: Callable[[], Message | None], failed: Callable[[str], Message]) -> None:
        """Start it."""


class Attached:
    """At most one server. Its methods are called on the event loop; each starts a job or takes in what one found."""

    def __init__(self, work: Work, post: Callable[[Message], object]) -> None:
        self._work, self._post = work, post
        self.process: ServerProcess | None = None
        self.progress = LoadProgress()
        self.measurement: Measurement | None = None  # what it took
        self.stopped_at: float | None = None  # time.monotonic() of the last stop
        self._step: tuple[str, float] | None = None  # of the stop under way: its signal, and time.monotonic() of it
        self.cancelled = threading.Event()  # ends the jobs that were started with it
        self._check = threading.Event()  # calls off the check of a launch
        self._busy: set[str] = set()  # jobs of which only one runs at a time
        self._last_line = 0
        self._counters: Mapping[str, float] | None = None
        self._generated: tuple[float, float] | None = None  # tokens, and time.monotonic() of that look
        self._held: Mapping[str, int] = {}  # at the first look at it as ready
        self.idle: Idle | None = None  # the last look at which nothing ran

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        return self.process is not None and self.process.is_running()

    @property
    def stopping(self) -> bool:
        """Whether a stop is under way."""
        return STOP in self._busy

    @property
    def stressing(self) -> bool:
        """Whether a stress pass is under way."""
        return STRESS in self._busy

    @property
    def stage(self) -> str:
        """How far its load is, in words."""
        return "ready" if self.progress.ready else f"{self.progress.stage} {self.progress.fraction:.0%}"

    def step(self, name: str) -> None:
        """A stop goes on with this signal."""
        self._step = name, time.monotonic()

    @property
    def stop_text(self) -> str:
        """How a stop goes: its signal, the seconds since, and those until the next."""
        if self._step is None:
            return "stopping"
        name, began = self._step
        patience = next(seconds for number, seconds in start.STOP_STEPS if number.name == name)
        return f"stopping: {name}, {min(time.monotonic() - began, patience):.0f} of {patience:.0f} s"

    def take(self, process: "ServerProcess", progress: "LoadProgress") -> None:
        """This is the server from now on; nothing is known of it yet."""
        self.cancel()
        self.process, self.progress = process, progress
        self.measurement, self._counters, self._last_line = None, None, 0
        self._generated, self._held, self.idle = None, {}, None
        self._busy.clear()

    def answers(self) -> None:
        """It is ready, whatever its log has told so far."""
        if not self.progress.ready:
            self.progress = self.progress.answered()

    def cancel(self) -> None:
        """End what runs on it."""
        self.cancelled.set()
        self.cancelled = threading.Event()

    def new_check(self) -> threading.Event:
        """What calls off the check of a launch that begins now; the one before is called off."""
        self._check.set()
        self._check = threading.Event()
        return self._check

    def close(self) -> None:
        """The app goes, however: the server stays, for whoever comes next."""
        self._check.set()
        self.cancelled.set()
        if self.process is not None:
            self.process.leave()

    def done(self, job: str) -> None:
        """A job came to its end."""
        self._busy.discard(job)

    def start(self, doing: str, job: Callable[[], Message | None]) -> None:
        """A job that is no harm twice."""
        self._work(doing, job, partial(JobFailed, doing))

    def _start_one(self, doing: str, job: Callable[[], Message | None]) -> None:
        if doing not in self._busy:
            self._busy.add(doing)
            self.start(doing, job)

    # -- its log and its state -------------------------------------------------------------------------------------

    def read_log(self) -> None:
        """New lines, and whether it still runs."""
        process, waiting = self.process, self.stopping
        if process is None:
            return

        def job() -> Message:
            new = process.read_log()
            if process.read_only:
                process.take_over()
            if waiting or process.is_running():
                return LogRead(process, new, None)
            ended = process.ended()
            return LogRead(process, tuple(process.tail.lines), ended)

        self._start_one(LOG, job)

    def fresh(self, lines: Sequence["LogLine"]) -> tuple["LogLine", ...]:
        """Those that were not heard before; the load's progress follows them."""
        new = tuple(x for x in lines if x.number == 0 or x.number > self._last_line)
        self._last_line = max((x.number for x in new), default=self._last_line)
        self.progress = self.progress.after(x.text for x in new)
        return new

    def ask_status(self, devices: tuple[Device, ...], ready: bool) -> None:
        """/health until it is ready, then /slots and /metrics."""
        process = self.process
        if process is not None:
            self._start_one(STATUS, lambda: jobs.status(process, devices, ready))

    def rate(self, counters: Mapping[str, float]) -> float | None:
        """Tokens a second since the counters before; None where nothing was generated."""
        before, self._counters = self._counters, counters
        return decode_rate(before, counters) if before else None

    def watched(self, before: "Watched", status: "StatusRead") -> "Watched":
        """With what it says of itself now."""
        counters = status.counters or {}
        plan = self.process.record.plan if self.process is not None else None
        self._held = self._held or status.held
        now, last = generated(counters, status.slots), self._generated
        rate, looks = None, 1
        if now is not None:
            rate = 0.0 if last is None else max(now - last[0], 0.0) / max(status.at - last[1], STATUS_SECONDS / 2)
            looks = 1 if last is None else max(round((status.at - last[1]) / STATUS_SECONDS), 1)
            self._generated = now, status.at
        return before.after(rate, looks).seen(status.slots, counters, grown(plan or {}, self._held, status.held))

    @property
    def generated(self) -> float:
        """Tokens that it has made since its start, as far as it was looked at."""
        return 0.0 if self._generated is None else self._generated[0]

    def learn_speed(self, status: "StatusRead") -> None:
        """What its requests show of its speed, whoever asked them; kept by the kvtui that controls it."""
        process, before = self.process, self.idle
        if process is None or status.counters is None or any(s.busy for s in status.slots):
            return
        self.idle = Idle(status.counters, status.slots)
        served = served_since(before, status.counters, status.slots) if before is not None else ()
        if served and not process.read_only:
            self.start("keeping what was measured", lambda: jobs.keep_rates(process.record, served))

    # -- what is done with it --------------------------------------------------------------------------------------

    def measure(self, devices: tuple[Device, ...]) -> None:
        """What it took."""
        process = self.process
        if process is not None:
            self.start("measuring what the server took", lambda: jobs.measure(process, devices))

    def stress(self, devices: tuple[Device, ...], all_slots: bool) -> None:
        """A prompt to the limit of one slot or of all."""
        process, cancel, post = self.process, self.cancelled, self._post
        if process is not None:
            self._start_one(STRESS, lambda: jobs.stress_pass(process, devices, all_slots, cancel, post))

    def ask(self, prompt: str) -> None:
        """One prompt, answered piece by piece."""
        process, cancel, post = self.process, self.cancelled, self._post
        if process is not None:
            client = ServerClient(process.record.url, process.api_key)
            self.start("the test prompt", lambda: jobs.answer(client, prompt, cancel, post))

    def stop(self, then: str = "") -> None:
        """In steps; each is told with its time."""
        process, post = self.process, self._post
        if process is None or self.stopping:
            return
        self.cancel()
        self._step = None

        def heard(step: str) -> None:
            post(Stopping(process, step))

        self._start_one(STOP, lambda: Stopped(process, process.stop(heard), then))
