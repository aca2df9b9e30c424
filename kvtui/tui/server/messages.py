"""What jobs on and about a server tell the app, a message a result. `process` says which server was asked: an answer
on one that was left meanwhile is dropped by the handler."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event

from textual.message import Message

from kvtui.hardware.found import Found
from kvtui.placement.plan import Plan
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import Slot
from kvtui.server.http.stress import StressResult
from kvtui.server.log.follow import LogLine
from kvtui.server.log.progress import LoadProgress
from kvtui.server.measure.dry_run import DryRun
from kvtui.server.measure.measured import Measurement
from kvtui.server.process.preflight import Preflight
from kvtui.server.process.record import Ended, ServerRecord
from kvtui.server.process.start import ServerProcess, StopReport
from kvtui.tui.dry_runs import Key


@dataclass
class ServersFound(Message):
    """llama-server binaries; `launch`: a key asked for a launch; `problem`: why the one that was named is none."""

    servers: tuple[ServerBinary, ...]
    launch: bool
    problem: str = ""


@dataclass
class DevicesListed(Message):
    """What each binary can use of this machine; None for one that does not start."""

    servers: tuple[tuple[ServerBinary, Found | None], ...]


@dataclass
class SurvivorsFound(Message):
    """What an earlier kvtui left: the newest that runs, how many more do, and ends that nobody has seen."""

    process: ServerProcess | None
    progress: LoadProgress
    more: int
    ended: tuple[tuple[ServerRecord, Ended], ...]


@dataclass
class LaunchChecked(Message):
    """Port, devices, free memory and the dry run of a plan that is about to be launched."""

    binary: ServerBinary
    plan: Plan
    found: Preflight
    answer: DryRun | None


@dataclass
class LaunchWaits(Message):
    """A launch waits for memory: one sentence with who holds it and the seconds left; `off` calls it off."""

    text: str
    off: Event


@dataclass
class LogRead(Message):
    """New lines, and how it ended if it did."""

    process: ServerProcess
    lines: tuple[LogLine, ...]
    ended: Ended | None


@dataclass
class StatusRead(Message):
    """What it says over HTTP: that it is ready (nothing else then), or its counters and slots. `answered` is False where
    it was too busy to say. `context`: tokens that all slots hold; `at`: time.monotonic() of it; `held`: bytes it has."""

    process: ServerProcess
    answered: bool
    counters: Mapping[str, float] | None = None
    slots: tuple[Slot, ...] = ()
    context: int = 0
    at: float = 0.0
    held: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Stopping(Message):
    """A step of a stop: the name of its signal."""

    process: ServerProcess
    step: str


@dataclass
class Stopped(Message):
    """The end of a stop; `then`: what was asked for after it, "launch", "exit" or ""."""

    process: ServerProcess
    report: StopReport
    then: str


@dataclass
class Measured(Message):
    """What it took, from its own log and NVML, and all that is measured by now; `problem`: why its log is not believed."""

    process: ServerProcess
    measurement: Measurement | None
    known: tuple[Measurement, ...] = ()
    problem: str = ""


@dataclass
class MeasurementKept(Message):
    """It is on disk, with all that is measured by now."""

    known: tuple[Measurement, ...]


@dataclass
class StressShare(Message):
    """How far a stress pass is, 0 to 1."""

    process: ServerProcess
    share: float


@dataclass
class Stressed(Message):
    """What came of a stress pass."""

    process: ServerProcess
    result: StressResult
    called_off: bool


@dataclass
class AnswerHeard(Message):
    """An answer to the test prompt, as far as it is heard, and how it goes."""

    prompt: str
    text: str
    said: str


@dataclass
class DryRunDone(Message):
    """The server's own figures for the plan whose comparison is open."""

    plan: Mapping[str, object]
    kept: Measurement | None
    answer: DryRun


@dataclass
class DryRunHeard(Message):
    """What llama-server says of one plan, asked in the background; None where that was called off."""

    key: Key
    answer: DryRun | None


@dataclass
class JobFailed(Message):
    """A job on the server broke: one sentence; `job` is free again."""

    job: str
    text: str
