"""The server behind the log pane: find, launch, follow, stop. The app owns the state; this owns the process."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.findings import UsageError
from kvtui.server.binary import ServerBinary
from kvtui.server.breakdown import logged_memory
from kvtui.server.find import find_servers
from kvtui.server.ports import free_port
from kvtui.server.process import ServerProcess
from kvtui.tui.messages import Notice, ServersFound
from kvtui.tui.state import ServerView

if TYPE_CHECKING:
    from kvtui.tui.app import KvtuiApp

KEPT_LINES = 5000
_READY = "listening on http"


class ServerPane:
    """At most one server, and the binaries that could be one."""

    def __init__(self, app: "KvtuiApp") -> None:
        self.app = app
        self.servers: tuple[ServerBinary, ...] = ()
        self.process: ServerProcess | None = None
        self._leave = False
        self._stopping = False

    @property
    def running(self) -> bool:
        """Whether our server is alive."""
        return self.process is not None and self.process.is_running()

    def find(self, *, launch: bool) -> None:
        """Look for binaries, off the event loop."""
        asked = self.app.session.server

        def look() -> None:
            try:
                self.app.post_message(ServersFound(find_servers(asked), launch))
            except UsageError as e:
                self.app.post_message(ServersFound((), launch, str(e)))

        self.app.run_worker(look, thread=True, group="find", exit_on_error=False)

    def found(self, message: ServersFound) -> None:
        """Keep what was found; launch if a key waits for it."""
        self.servers = tuple(s for s in message.servers if not s.declined)
        build = self.servers[0].build if self.servers else ""
        self.app.state = replace(self.app.state, build=f"{build} found" if build else "no llama-server found")
        if message.launch:
            if not self.servers:
                declined = next((s.declined for s in message.servers if s.declined), "")
                self.app.notice(message.problem or declined or "no llama-server found: name one with --llama-server")
            else:
                self._start(self.servers[0])
        self.app.draw()

    def launch(self) -> None:
        """With exactly the plan on the screen; says why not where it cannot."""
        app, plan = self.app, self.app.state.plan
        if self.running:
            app.notice("llama-server is running: x stops it")
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
            self._start(self.servers[0])

    def _start(self, binary: ServerBinary) -> None:
        app, plan = self.app, self.app.state.plan
        assert plan is not None
        assert app.session.path is not None
        port = free_port()
        try:
            self.process = ServerProcess.launch(binary, Path(app.session.path), plan.argv, port.port, env=dict(plan.env))
        except OSError as e:
            app.notice(f"llama-server cannot be started: {e.strerror}")
            return
        taken = f"port 8080 is taken by {port.taken_by}: using {port.port}" if port.taken_by else ""
        notes = "; ".join((*self.process.record.notes, taken)).strip("; ")
        view = ServerView("loading", self.process.record.url, running=True)
        app.state = replace(app.state, server=view, log=(), log_shown=True, focus="log", notice=notes)
        app.log_back = 0
        app.draw()

    def poll(self) -> None:
        """New lines of the log, and whether it still runs."""
        app, process = self.app, self.process
        if process is None or (not app.state.server.running and not self._stopping):
            return
        new = process.read_log()
        log = (*app.state.log, *new)[-KEPT_LINES:]
        view = app.state.server
        if any(_READY in entry.text for entry in new):
            memory = logged_memory(entry.text for entry in log)
            actual = tuple((name, p.model, p.context, p.compute) for name, p in memory.devices.items())
            view = replace(view, text="running", actual=actual)
        if not process.is_running():
            ended = process.ended()
            reason = ended.reason if ended is not None and ended.reason else "it ended"
            view = replace(view, running=False, text="stopped" if self._stopping else f"ended: {reason}")
        if new or view != app.state.server:
            app.state = replace(app.state, log=log, server=view)
            app.draw()

    def stop(self, *, then_exit: bool) -> None:
        """In steps, off the event loop."""
        process = self.process
        if process is None or not process.is_running():
            self.app.notice("no server is running")
            return
        self._stopping = True

        def end() -> None:
            report = process.stop()
            self.app.post_message(Notice(f"llama-server {report}"))
            if then_exit:
                self.app.call_from_thread(self.app.exit)

        self.app.run_worker(end, thread=True, group="stop", exit_on_error=False)

    def leave(self) -> None:
        """Let it run when the app goes."""
        self._leave = True

    def close(self) -> None:
        """The app goes: stop the server unless it may stay."""
        if self.process is None:
            return
        if self._leave or not self.process.is_running():
            self.process.leave()
        else:
            self.process.stop()
