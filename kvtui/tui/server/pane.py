"""The server behind the log pane: find, launch, find again, follow, stop. The app owns the state; this the process."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kvtui.base.findings import UsageError
from kvtui.server.binary.find import find_servers
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.log.follow import LogLine, first_lines
from kvtui.server.log.progress import LoadProgress
from kvtui.server.measure.dry_run import DryRun
from kvtui.server.process.preflight import Preflight, new_key, preflight
from kvtui.server.process.record import Ended, ServerRecord, is_alive
from kvtui.server.process.start import ServerProcess, StopReport, survivors
from kvtui.tasks.launch import ask_first, needs_of, record_plan
from kvtui.tui.draw.log_view import LogView
from kvtui.tui.draw.server_pages import ended_page, started_at
from kvtui.tui.keys.asking import Question
from kvtui.tui.server.tools import ServerTools
from kvtui.tui.state import ServerView
from kvtui.tui.work.messages import Answered, ServersFound

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.tui.desk import Desk

T = TypeVar("T")
# After a stop the driver takes a moment to give memory back: a launch waits for it so long before it says what lacks.
SETTLE_SECONDS, SETTLE_STEP = 8.0, 0.25


class ServerPane:
    """At most one server, and the binaries that could be one."""

    def __init__(self, app: "Desk") -> None:
        self.app = app
        self.servers: tuple[ServerBinary, ...] = ()  # usable ones, the chosen first
        self.declined: tuple[str, ...] = ()
        self.process: ServerProcess | None = None
        self.closing = threading.Event()
        self.tools = ServerTools(self)
        self._progress = LoadProgress()
        self._last_line = 0
        self._reading = False
        self._stopping = False
        self._stopped_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether our server is alive."""
        return self.process is not None and self.process.is_running()

    def work(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `job` off the event loop, then `then` with its result on it; what it could not do is a notice."""

        def run() -> None:
            try:
                result = job()
            except (OSError, UsageError) as e:
                said = str(e) or type(e).__name__
                self.app.post_message(Answered(lambda: self.app.notice(said)))
                return
            self.app.post_message(Answered(lambda: then(result)))

        self.app.run_worker(run, thread=True, group="server", exit_on_error=False)

    def view(self, **changes: Any) -> None:
        """Another state of the server, drawn if it differs."""
        changed = replace(self.app.state.server, **changes)
        if changed != self.app.state.server:
            self.app.state = replace(self.app.state, server=changed)
            self.app.draw()

    # -- binaries --------------------------------------------------------------------------------------------------

    def find(self, *, launch: bool) -> None:
        """Look for binaries."""
        asked = self.app.session.server

        def look() -> ServersFound:
            try:
                return ServersFound(find_servers(asked), launch)
            except UsageError as e:
                return ServersFound((), launch, str(e))

        self.work(look, self.found)

    def found(self, message: ServersFound) -> None:
        """Keep what was found; launch if a key waits for it."""
        self.servers = tuple(s for s in message.servers if not s.declined)
        self.declined = tuple(s.declined for s in message.servers if s.declined)
        if self.servers:
            self.app.use_build(self.servers[0])
        else:
            self.app.state = replace(self.app.state, build="no llama-server found")
        if message.launch and self.servers:
            self.launch()
        elif message.launch:
            none = "no llama-server found: name one with --llama-server"
            self.app.notice(message.problem or next(iter(self.declined), none))
        self.app.draw()

    # -- launch ----------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """With exactly the plan on the screen; says why not where it cannot."""
        app, plan = self.app, self.app.state.plan
        process = self.process
        if process is not None and process.is_running():
            if process.read_only:
                app.notice(f"another kvtui (pid {process.other_app}) has llama-server running: only that one may stop it")
            else:
                relaunch = ("stops it and launches this plan", lambda: self.stop(then=self.launch))
                app.ask(Question("llama-server is running", {"enter": relaunch}))
        elif app.session.path is None:
            app.notice("the demo's model is only a header: open a real one to launch it")
        elif plan is None or app.state.working == "searching":
            app.notice("the plan is not ready yet")
        elif not plan.fits:
            app.notice(next(f.message for f in plan.findings if f.severity == "error"))
        elif app.session.simulated:
            app.notice("this machine is simulated: its plan cannot be launched here")
        elif not self.servers:
            self.find(launch=True)
        else:
            self._check(self.servers[0], plan)

    def _check(self, binary: ServerBinary, plan: "Plan") -> None:
        """Port, devices, free memory: looked at before anything starts."""
        address = self.app.session.address
        needs = needs_of(plan)
        settled = (self._stopped_at or 0.0) + SETTLE_SECONDS

        path = self.app.session.path
        assert path is not None

        def look() -> tuple[Preflight, DryRun | None]:
            while True:
                found = preflight(binary, needs, address.port, address.host)
                if not found.shortages or time.monotonic() >= settled or self.closing.wait(SETTLE_STEP):
                    break
            able = not found.shortages and not found.missing
            return found, ask_first(binary, plan, path, self.closing) if able else None

        self.app.notice("looking at the port, the memory that is free now, and the dry run")
        self.work(look, lambda found: self._checked(binary, plan, *found))

    def _checked(self, binary: ServerBinary, plan: "Plan", found: Preflight, answer: DryRun | None) -> None:
        self.app.notice("")
        if found.missing:
            self.app.notice(f"{binary.build or binary.path} has no {', '.join(found.missing)}: B chooses another llama-server")
            return
        refused = [f"its dry run refuses: {answer.refused}"] if answer is not None and answer.refused else []
        questions = [*refused, *found.questions]
        if questions:
            start = (f"launches on port {found.port.port} all the same", lambda: self._start(binary, plan, found, answer))
            self.app.ask(Question("; ".join(questions), {"enter": start}))
        else:
            self._start(binary, plan, found, answer)

    def _start(self, binary: ServerBinary, plan: "Plan", found: Preflight, answer: DryRun | None) -> None:
        app, session = self.app, self.app.session
        assert session.path is not None
        try:
            process = ServerProcess.launch(
                binary,
                session.path,
                [*plan.argv, *session.address.args],
                found.port.port,
                found.host,
                new_key() if found.is_open else None,
                dict(plan.env),
                record_plan(plan, session.path, answer),
            )
        except OSError as e:
            app.notice(f"llama-server cannot be started: {e.strerror or e}")
            return
        self._take(process, LoadProgress())
        app.state = replace(app.state, log_shown=True, focus="log", notice="; ".join((*process.record.notes, *found.notes)))
        app.draw()

    def _take(self, process: ServerProcess, progress: LoadProgress) -> None:
        """This is the server from now on."""
        self.process, self._progress = process, progress
        self._last_line, self._stopping = 0, False
        self.tools.forget()
        text = "ready" if progress.ready else f"{progress.stage} {progress.fraction:.0%}"
        view = ServerView(text, process.record.url, running=True, controlled_by=process.other_app)
        self.app.state = replace(self.app.state, server=view, log=LogView())
        self.app.draw()

    # -- found again -----------------------------------------------------------------------------------------------

    def look_for_survivors(self) -> None:
        """Servers that an earlier kvtui left: taken up again, or told how they ended."""
        if not self.app.session.simulated and not self.app.session.demo:
            self.work(_survivors, self._found_again)

    def _found_again(self, found: "_Survivors") -> None:
        if found.process is not None and self.process is None:
            process = found.process
            self._take(process, found.progress)
            record = process.record
            who = (
                f"read only: kvtui (pid {process.other_app}) controls it"
                if process.read_only
                else "it is yours again: 4 log, i about it"
            )
            more = f"; {found.more} more run" if found.more else ""
            self.app.notice(f"found {Path(record.model).name} running since {started_at(record)}, {who}{more}")
        if found.ended:
            record, ended = found.ended[0]
            self.app.open_page("llama-server ended while nobody watched", ended_page(record, ended, self.app.size.width))

    # -- following -------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """New lines of the log, and whether it still runs; called some times a second."""
        process = self.process
        if process is None or self._reading or not self.app.state.server.running:
            return
        self._reading = True
        waiting = self._stopping

        def look() -> tuple[tuple[LogLine, ...], Ended | None]:
            new = process.read_log()
            if process.read_only:
                process.take_over()
            if waiting or process.is_running():
                return new, None
            ended = process.ended()
            return tuple(process.tail.lines), ended

        self.work(look, lambda found: self._heard(process, *found))

    def _heard(self, process: ServerProcess, new: tuple[LogLine, ...], ended: Ended | None) -> None:
        self._reading = False
        if process is not self.process:
            return
        app = self.app
        fresh = tuple(x for x in new if x.number == 0 or x.number > self._last_line)
        self._last_line = max((x.number for x in fresh), default=self._last_line)
        if fresh:
            app.state = replace(app.state, log=app.state.log.with_new(fresh))
        self._progress = self._progress.after(x.text for x in fresh)
        view = replace(app.state.server, controlled_by=process.other_app)
        if ended is not None:
            self._ended(process, ended)
            return
        if not self._stopping:
            now_ready = self._progress.ready and not view.ready
            text = "ready" if self._progress.ready else f"{self._progress.stage} {self._progress.fraction:.0%}"
            view = replace(view, text=text, ready=self._progress.ready)
            if now_ready:
                self.tools.measure()
        if fresh or view != app.state.server:
            app.state = replace(app.state, server=view)
            app.draw()

    def ready(self) -> None:
        """It answers, whatever its log has told so far."""
        if not self._progress.ready:
            self._progress = LoadProgress("ready", 1.0)

    def _ended(self, process: ServerProcess, ended: Ended) -> None:
        """It has gone: by our stop, by somebody's, or by itself."""
        self.tools.cancel()
        process.leave()
        text = "stopped" if ended.stopped or ended.exit_code == 0 else f"ended: {ended.reason}"
        if not ended.stopped and ended.exit_code not in (0, None):
            code = ended.exit_code or 0
            text = f"ended ({f'signal {-code}' if code < 0 else f'exit code {code}'}): {ended.reason}"
        self.view(text=text, running=False, ready=False, job="")
        if not ended.stopped and ended.exit_code != 0:
            self.app.open_page("llama-server ended", ended_page(process.record, ended, self.app.size.width))

    # -- the end ---------------------------------------------------------------------------------------------------

    def stop(self, *, then_exit: bool = False, then: Callable[[], None] | None = None) -> None:
        """In steps; each is shown with its time."""
        process = self.process
        if process is None or not process.is_running():
            self.app.notice("no server is running")
            return
        if process.read_only:
            self.app.notice(f"read only: kvtui (pid {process.other_app}) controls this server")
            return
        self._stopping = True
        self.tools.cancel()
        began = time.monotonic()
        self.view(text="stopping", job="")

        def heard(name: str) -> None:
            text = f"stopping: {name}, {time.monotonic() - began:.0f} s"
            self.app.post_message(Answered(lambda: self.view(text=text)))

        self.work(lambda: process.stop(heard), lambda report: self._stopped(process, report, then_exit, then))

    def _stopped(self, process: ServerProcess, report: StopReport, then_exit: bool, then: Callable[[], None] | None) -> None:
        self._stopping, self._stopped_at = False, time.monotonic()
        self.app.notice(f"llama-server {report}")
        ended = process.ended()
        if ended is not None:
            self._heard(process, tuple(process.tail.lines), ended)
        if then_exit:
            self.app.exit()
        elif then is not None and report.gone:
            then()

    def close(self) -> None:
        """The app goes, however: the server stays, for whoever comes next."""
        self.closing.set()
        self.tools.cancel()
        if self.process is not None:
            self.process.leave()


class _Survivors:
    """What an earlier kvtui left: the newest that runs, how many more do, and ends that nobody has seen."""

    def __init__(self) -> None:
        self.process: ServerProcess | None = None
        self.progress = LoadProgress()
        self.more = 0
        self.ended: list[tuple[ServerRecord, Ended]] = []


def _survivors() -> _Survivors:
    found = _Survivors()
    for record in survivors():
        if is_alive(record) and found.process is not None:
            found.more += 1
            continue
        process = ServerProcess.attach(record)
        if process.is_running():
            found.process = process
            found.progress = LoadProgress().after(first_lines(record.log))
            continue
        if not process.read_only and (ended := process.ended()):
            found.ended.append((record, ended))
        process.leave()
    return found
