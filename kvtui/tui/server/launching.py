"""From a plan to a server and back: find, check, launch, find again, follow its log, stop."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.hardware.device import Device
from kvtui.tasks.history import gpus_of
from kvtui.tasks.last_request import asked_of
from kvtui.tui.desk import RETRY_SECONDS
from kvtui.tui.dry_runs import key_of
from kvtui.tui.keys.asking import Countdown, Question
from kvtui.tui.log_view import LogView
from kvtui.tui.server.attached import LOG, STATUS, STOP, Attached
from kvtui.tui.server.checking import CheckingDesk
from kvtui.tui.server.shown import view_of
from kvtui.tui.session import Session
from kvtui.tui.state import SEARCHING, ServerView, State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.log.out_of_memory import out_of_memory
    from kvtui.server.log.progress import LoadProgress
    from kvtui.server.measure.dry_run import DryRun
    from kvtui.server.measure.over import over_findings
    from kvtui.server.process.preflight import Preflight, new_key
    from kvtui.server.process.record import Ended, ServerRecord
    from kvtui.server.process.start import ServerProcess
    from kvtui.tasks.launch import record_plan
    from kvtui.tasks.making_room import told, with_room
    from kvtui.tasks.running import machine_before, request_that_runs, runs_model
    from kvtui.tui.draw.server_pages import ended_page, ended_text, started_at
    from kvtui.tui.server import jobs
    from kvtui.tui.server.messages import (
        JobFailed,
        LaunchChecked,
        LaunchWaits,
        LogRead,
        ServersFound,
        Stopped,
        Stopping,
        SurvivorsFound,
    )
    from kvtui.tui.work.messages import PlanReady
else:  # not needed by the first screen
    out_of_memory = Late("kvtui.server.log.out_of_memory", "out_of_memory")
    over_findings = Late("kvtui.server.measure.over", "over_findings")
    new_key = Late("kvtui.server.process.preflight", "new_key")
    ServerProcess = Late("kvtui.server.process.start", "ServerProcess")
    record_plan = Late("kvtui.tasks.launch", "record_plan")
    told = Late("kvtui.tasks.making_room", "told")
    with_room = Late("kvtui.tasks.making_room", "with_room")
    machine_before = Late("kvtui.tasks.running", "machine_before")
    request_that_runs = Late("kvtui.tasks.running", "request_that_runs")
    runs_model = Late("kvtui.tasks.running", "runs_model")
    jobs = Late("kvtui.tui.server.jobs")
    LoadProgress = Late("kvtui.server.log.progress", "LoadProgress")
    ended_page = Late("kvtui.tui.draw.server_pages", "ended_page")
    ended_text = Late("kvtui.tui.draw.server_pages", "ended_text")
    started_at = Late("kvtui.tui.draw.server_pages", "started_at")
    LogRead = Late("kvtui.tui.server.messages", "LogRead")

LOG_SECONDS = 0.25
NONE_FOUND = "no llama-server found: name one with --llama-server"


class LaunchDesk(CheckingDesk):
    """The desk with a server: `server` is the one at hand, `state` says what is shown of it."""

    def __init__(self, session: Session, state: State | None = None) -> None:
        super().__init__(session, state)
        self.server = Attached(self.work, self.post_message)

    def on_mount(self) -> None:
        """Look for binaries and for servers that run; follow the log."""
        self.set_interval(LOG_SECONDS, self._follow)
        self._find(launch=False)
        if not self.session.simulated and not self.session.demo:
            self.server.start("looking for servers that run", lambda: jobs.find_survivors(self.session.path))

    def on_unmount(self) -> None:
        """A server that was not told to stop stays."""
        self.server.close()

    def view(self, view: ServerView) -> None:
        """Another state of the server, drawn if it differs."""
        if view != self.state.server:
            self.become(replace(self.state, server=view))

    def devices_of(self, process: "ServerProcess") -> tuple[Device, ...]:
        """The machine's devices, if it is the one that the server was launched for."""
        machine = self.state.request.machine
        gpus = (process.record.plan or {}).get("conditions", {}).get("gpus")
        return machine.devices if gpus == [list(g) for g in gpus_of(machine)] else ()

    def on_job_failed(self, message: "JobFailed") -> None:
        """The job may be tried again; what it was busy with is no longer shown."""
        if message.job in (LOG, STATUS):  # done all the time: it waits, or it would be told all the time
            self.set_timer(RETRY_SECONDS, lambda: self.server.done(message.job))
        else:
            self.server.done(message.job)
        text = self.server.stage if message.job == STOP else self.state.server.text
        self.become(replace(self.state, notice=message.text, server=replace(self.state.server, job="", text=text)))

    # -- binaries --------------------------------------------------------------------------------------------------

    def _find(self, *, launch: bool) -> None:
        asked = self.session.server
        self.server.start("looking for llama-server", lambda: jobs.find(asked, launch))

    def on_servers_found(self, message: "ServersFound") -> None:
        """Keep what was found; launch if a key waits for it."""
        usable = tuple(s for s in message.servers if not s.declined)
        declined = tuple(s.declined for s in message.servers if s.declined)
        self.become(replace(self.state, binaries=usable, declined=declined, build="" if usable else "no llama-server found"))
        if usable:
            self.use_build(usable[0])
            self.ask_soon()
        if message.launch and usable:
            self.launch_server()
        elif message.launch:
            self.notice(message.problem or next(iter(declined), NONE_FOUND))

    # -- launch ----------------------------------------------------------------------------------------------------

    def launch_server(self) -> None:
        """With exactly the plan on the screen; says why not where it cannot."""
        state, process = self.state, self.server.process
        if process is not None and process.is_running():
            if process.read_only:
                self.notice(f"another kvtui (pid {process.other_app}) has llama-server running: only that one may stop it")
            else:
                relaunch = ("stops it and launches this plan", lambda: self.stop_server("launch"))
                what = f" {state.server.model}" if state.server.model else ""
                self.ask(Question(f"llama-server is running{what}", {"enter": relaunch}))
        elif self.session.path is None:
            self.notice(self.session.not_here)
        elif state.working == SEARCHING:
            self.become(replace(state, launch_waits=True, notice="launches as soon as the plan is ready"))
        elif state.plan is None:
            self.notice("there is no plan to launch")
        elif not state.plan.fits:
            self.notice(next(f.message for f in state.plan.findings if f.severity == "error"))
        elif self.session.simulated or state.what_if:
            self.notice("this machine is simulated: its plan cannot be launched here")
        elif not state.binaries:
            self._find(launch=True)
        else:
            self._check(state.binaries[0], state.plan, self.session.path)

    def on_plan_ready(self, message: "PlanReady") -> None:
        """A launch that waited for it goes on, after the desk has taken the plan."""
        if self.state.launch_waits and message.generation == self.state.generation:
            self.become(replace(self.state, launch_waits=False))
            self.call_next(self.launch_server)

    def _check(self, binary: "ServerBinary", plan: "Plan", path: Path) -> None:
        self.call_off()
        address, stopped_at, off = self.session.address, self.server.stopped_at, self.server.new_check()
        self.notice("looking at the port, the memory that is free now, and the dry run")
        job = partial(jobs.check, binary, plan, path, address, stopped_at, off, self.post_message)
        self.server.start("checking the launch", job)

    def on_launch_waits(self, message: "LaunchWaits") -> None:
        """Counted down on the screen; whatever else is asked there stays."""
        if message.off.is_set() or not (self.state.asking is None or isinstance(self.state.asking, Countdown)):
            return

        def call_off() -> None:
            message.off.set()
            self.notice("the launch is called off")

        self.become(replace(self.state, notice="", asking=Countdown(message.text, call_off)))

    def on_launch_checked(self, message: "LaunchChecked") -> None:
        """Launched, or a question first."""
        binary, plan, found, answer = message.binary, message.plan, message.found, message.answer
        waited = isinstance(self.state.asking, Countdown)
        self.become(replace(self.state, notice="", asking=None if waited else self.state.asking))
        if answer is not None:
            self.become(replace(self.state, dry_runs=self.state.dry_runs.plus(key_of(binary, plan), answer)))
        if found.missing:
            self.notice(f"{binary.build or binary.path} has no {', '.join(found.missing)}: B chooses another llama-server")
            return
        refused = [f"its dry run refuses: {answer.refused}"] if answer is not None and answer.refused else []
        request = plan.request
        over = over_findings(request.machine, request.margin_bytes, plan.estimate, answer) if answer is not None else ()
        questions = [*refused, *[f.message for f in over if f.severity == "error"], *found.questions]
        if questions:
            start = (f"launches on port {found.port.port} all the same", lambda: self._launch(binary, plan, found, answer))
            self.ask(Question("; ".join(questions), {"enter": start}))
        else:
            self._launch(binary, plan, found, answer)

    def _launch(self, binary: "ServerBinary", plan: "Plan", found: "Preflight", answer: "DryRun | None") -> None:
        path = self.session.path
        assert path is not None
        argv = [*plan.argv, *self.session.address.args]
        key = new_key() if found.is_open else None
        kept = record_plan(plan, path, answer, self.session.address.args)
        try:
            process = ServerProcess.launch(binary, path, argv, found.port.port, found.host, key, dict(plan.env), kept)
        except OSError as e:
            self.notice(f"llama-server cannot be started: {e.strerror or e}")
            return
        self._take_server(process, LoadProgress())
        notes = "; ".join((*process.record.notes, *found.notes))
        self.become(replace(self.state, log_shown=True, focus="log", notice=notes))

    def _take_server(self, process: "ServerProcess", progress: "LoadProgress") -> None:
        self.server.take(process, progress)
        record = process.record
        own = runs_model(record, self.state.request, self.session.path)
        view = view_of(record, self.server.stage, process.other_app, own)
        running = request_that_runs(record) if own else None
        self.become(replace(self.state, server=view, log=LogView(), running=running, no_room=None))

    # -- found again -----------------------------------------------------------------------------------------------

    def on_survivors_found(self, message: "SurvivorsFound") -> None:
        """Servers that an earlier kvtui left: taken up again, or told how they ended."""
        process = message.process
        if process is not None and self.server.process is None:
            self._take_server(process, message.progress)
            other = f"read only: kvtui (pid {process.other_app}) controls it"
            who = other if process.read_only else "it is yours again: 4 log, i about it"
            more = f"; {message.more} more run" if message.more else ""
            record = process.record
            told = f"found {Path(record.model).name} running since {started_at(record)}, {who}{more}"
            if self.state.server.model:
                self.notice(told)
            else:
                self._come_back(record, told)
        if message.ended:
            record, ended = message.ended[0]
            self.open_page("llama-server ended while nobody watched", ended_page(record, ended, self.size.width))

    def _come_back(self, record: "ServerRecord", told: str) -> None:
        """Plans are for the memory that is there once this server has made room; its own comes to the screen."""
        state = self.state.on_machine(machine_before(record, self.state.request.machine))
        newer = state.newer
        before = tuple(m for m in state.known if m.at < record.launched_at)
        self.state = replace(state.knowing(before), newer=newer)
        if self.state.running is None or self.state.shows_running:
            self._take(self.state.request, told)
        else:
            self.show_running_plan(f"{told}; its plan is shown, {self.state.key('the other plan')} shows what was asked last")

    def show_running_plan(self, told: str = "") -> None:
        """The request of the running server; what was on the screen is one key away."""
        state = self.state
        if state.running is None or not state.server.running:
            self.notice("no server of this model runs whose plan is known")
        elif state.shows_running:
            self.notice("this is the plan that runs")
        else:
            self.state = replace(state, other=asked_of(state.request))
            self.change(
                state.running.over(state.request, frozenset()),
                told or f"the plan that runs; {state.key('the other plan')} goes back",
            )

    def show_asked_plan(self) -> None:
        """What was on the screen before that."""
        other = self.state.other
        if other is None:
            self.notice("no other plan was asked for")
        else:
            self.change(
                other.over(self.state.request, frozenset()),
                f"the plan asked for; {self.state.key('the plan that runs')} shows the one that runs",
            )

    # -- following -------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        if self.state.server.running:
            self.server.read_log()
        if self.state.server.running and self.server.stopping:
            self.view(replace(self.state.server, text=self.server.stop_text))

    def on_log_read(self, message: "LogRead") -> None:
        """New lines of the log, and whether it still runs."""
        self.server.done(LOG)
        process = message.process
        if process is not self.server.process:
            return
        fresh = self.server.fresh(message.lines)
        state, view = self.state, replace(self.state.server, controlled_by=process.other_app)
        if fresh:
            state = replace(state, log=state.log.with_new(fresh))
            serving = view.watched.serving.after(x.text for x in fresh)
            view = replace(view, watched=replace(view.watched, serving=serving))
        if message.ended is None and view.running and not self.server.stopping:  # a read that comes late says nothing
            ready = self.server.progress.ready
            if ready and not view.ready:
                self.server.measure(self.devices_of(process))
            view = replace(view, text=self.server.stage, ready=ready)
        if fresh or view != state.server:
            self.become(replace(state, server=view))
        if message.ended is not None and view.running:
            self._ended(process, message.ended)

    def _ended(self, process: "ServerProcess", ended: "Ended") -> None:
        """It has gone: by our stop, by somebody's, or by itself."""
        self.server.cancel()
        process.leave()
        self.view(replace(self.state.server, text=ended_text(ended), running=False, ready=False, job=""))
        self.ask_soon()  # its memory is free again, and what was changed while it ran was not asked about
        if not ended.stopped and ended.exit_code != 0:
            self.open_page("llama-server ended", ended_page(process.record, ended, self.size.width))
            self._answer_no_room(process)

    def _answer_no_room(self, process: "ServerProcess") -> None:
        found = out_of_memory([entry.text for entry in process.tail.lines])
        if found is not None and not self.state.server.model:
            question = Question(told(found, process.record.plan or {}), {"O": ("plans with that room", self.make_room)})
            self.become(replace(self.state, no_room=found, asking=question))

    def make_room(self) -> None:
        """The plan that leaves what the last load lacked; what moved is marked."""
        found = self.state.no_room
        if found is None:
            self.notice("no load ran out of memory here")
            return
        request, said = with_room(self.state.request, found)
        self.state = replace(self.state, page=None, no_room=None)
        self.change(request, f"{said}; {self.state.key('undo')} takes it back")

    # -- the end ---------------------------------------------------------------------------------------------------

    def stop_server(self, then: str = "") -> None:
        """In steps; `then`: "launch" or "exit" after it."""
        process = self.server.process
        if process is None or not process.is_running():
            self.notice("no server is running")
        elif process.read_only:
            self.notice(f"read only: kvtui (pid {process.other_app}) controls this server")
        else:
            self.view(replace(self.state.server, text="stopping", job=""))
            self.server.stop(then)

    def on_stopping(self, message: "Stopping") -> None:
        """A step, with its time."""
        if message.process is self.server.process and self.server.stopping:
            self.server.step(message.step)
            self.view(replace(self.state.server, text=self.server.stop_text))

    def on_stopped(self, message: "Stopped") -> None:
        """What came of a stop, and what was to come after it."""
        process = message.process
        self.server.done(STOP)
        self.server.stopped_at = time.monotonic()
        self.notice(f"llama-server {message.report}")
        ended = process.ended()
        if ended is not None:
            self.on_log_read(LogRead(process, tuple(process.tail.lines), ended))
        if message.then == "exit":
            self.exit()
        elif message.then == "launch" and message.report.gone:
            self.launch_server()
