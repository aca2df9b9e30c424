"""A llama-server of ours: started in its own session, watched by its log, stopped in steps, left running if asked."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from kvtui.base.files import write_atomically
from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.log.bounds import Bounded
from kvtui.server.log.cells import CacheCells, cache_cells
from kvtui.server.log.follow import LogTail, first_lines
from kvtui.server.log.lines import LogLine
from kvtui.server.log.reasons import explain, telling
from kvtui.server.process.record import (
    KEY,
    LOG,
    Ended,
    LaunchLock,
    ServerRecord,
    bound_logs,
    is_alive,
    load,
    new_folder,
    prune,
    records,
    save,
)
from kvtui.server.process.rpc import named
from kvtui.server.program.marks import LAUNCH_VARIABLE, Marked, marked, name_of, process_identity
from kvtui.server.program.short_lived import kill, kill_group

# llama-server loses a SIGINT that comes between "listening on" and its main loop, and ends at once at the second
# signal (tools/server/server.cpp, llama_server and signal_handler): so each step is given up in its time.
STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))  # seconds to wait after each
POLL_SECONDS = 0.02
_CELLS_LOOKS = 3  # at the log's beginning, up to 4 MiB: what it does not tell of a server that is ready it never will


@dataclass(frozen=True)
class StopReport:
    """What it took: the signals sent with the seconds waited for each, and whether everything is gone."""

    steps: tuple[tuple[str, float], ...]
    gone: bool
    left_over: tuple[Marked, ...] = ()  # processes of its session, or with its mark, that outlived it and were killed

    def __str__(self) -> str:
        said = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.steps) or "it had ended"
        more = f"; killed what it had left behind: {', '.join(map(str, self.left_over))}" if self.left_over else ""
        return f"{'stopped' if self.gone else 'still running'}: {said}{more}"


def server_command(
    binary: ServerBinary, model: Path, argv: Sequence[str], port: int, host: str, key_file: Path | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The whole command for a file, and notes on what this build needed changed. What `argv` says of verbosity stays."""
    return command_of(binary, ("-m", str(model)), argv, port, host, key_file)


def command_of(
    binary: ServerBinary, model_flags: Sequence[str], argv: Sequence[str], port: int, host: str, key_file: Path | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same for a model wherever it is; `model_flags` are llama-server's options for it."""
    given = list(argv)
    if not {"-lv", "--verbosity", "--log-verbosity", "-v", "--verbose"} & set(given):
        given += ["-lv", "4"]  # buffer sizes are printed from here on
    if "--metrics" in binary.flags and "--metrics" not in given:
        given.append("--metrics")
    given += ["--host", host, "--port", str(port)]
    adapted, notes = adapt_argv(given, binary)
    key = ("--api-key-file", str(key_file)) if key_file else ()
    return (str(binary.path), *model_flags, *adapted, *key), notes


class ServerProcess:
    """One server. Only `stop` and `wait` take time; the log may be read in another thread meanwhile."""

    def __init__(self, record: ServerRecord, lock: LaunchLock, child: subprocess.Popen[bytes] | None) -> None:
        self.record = record
        self._lock = lock
        self._child = child
        self._stopping = False
        self._seen_alive = child is not None
        self._log_lock = threading.Lock()
        self._cells: CacheCells | None = None
        self._cells_looks = _CELLS_LOOKS
        self.read_only = False
        key = record.key_file
        keys = tuple(key.read_text().split()) if key else ()
        self.api_key = keys[0] if keys else None
        self.tail = LogTail(record.log, keys)
        self._bounds = Bounded(record.log)

    @classmethod
    def launch(
        cls,
        binary: ServerBinary,
        model: Path,
        argv: Sequence[str],
        port: int,
        host: str = "127.0.0.1",
        api_key: str | None = None,
        env: Mapping[str, str] | None = None,
        plan: Mapping[str, Any] | None = None,
        state: Path | None = None,
    ) -> Self:
        """Start it with exactly these flags. The key goes by a file that only this user can read (without one, an
        inherited LLAMA_API_KEY counts). OSError: the program cannot be started, or nothing can be written."""
        prune(state)
        bound_logs(state)
        folder = new_folder(state)
        api_key = api_key or os.environ.get("LLAMA_API_KEY") or None
        if api_key:
            write_atomically(folder / KEY, "".join(f"{key}\n" for key in api_key.split(",")).encode())
        key_file = folder / KEY if api_key else None
        command, notes = server_command(binary, model.absolute(), argv, port, host, key_file)
        record = ServerRecord(
            folder, 0, "", str(binary.path), binary.build, str(model.absolute()), command, host, port, time.time(),
            notes, plan,
        )  # fmt: skip
        lock = LaunchLock(folder)
        try:
            lock.take()
            save(record)
        except OSError:
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        environment = child_environment(binary.path, {**(env or {}), LAUNCH_VARIABLE: folder.name})
        try:
            descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=descriptor,
                    stderr=descriptor,
                    env=environment,
                    start_new_session=True,
                )
            finally:
                os.close(descriptor)
        except OSError as error:
            save(replace(record, ended=Ended(None, time.time(), False, f"cannot be started: {error.strerror}")))
            lock.release()
            raise
        record = replace(record, pid=child.pid, identity=process_identity(child.pid) or "")
        with contextlib.suppress(OSError):  # the disk is full by now: a later kvtui finds it by its mark
            save(record)
        return cls(record, lock, child)

    @classmethod
    def attach(cls, record: ServerRecord) -> Self:
        """Take over a server that an earlier kvtui started; `read_only` while another one has it."""
        lock = LaunchLock(record.folder)
        taken = lock.take()
        server = cls(record, lock, None)
        server.read_only = not taken
        return server

    @property
    def other_app(self) -> int | None:
        """Pid of the app that controls it, where this one only looks."""
        return self._lock.holder() if self.read_only else None

    def is_running(self) -> bool:
        """Whether this very process (pid and start time) runs."""
        if self._child is not None:
            return self._child.poll() is None
        alive = is_alive(self.record)
        self._seen_alive = alive or self._seen_alive
        return alive

    def read_log(self) -> tuple[LogLine, ...]:
        """New lines since the last call, at most 1 MiB of them: never waits. Who controls it keeps its log within bounds."""
        with self._log_lock:
            new = self.tail.read()
            if not self.read_only:
                self._bounds.look()
            return new

    def cells(self) -> CacheCells | None:
        """What its slots share, once it is ready; None where its log does not tell it."""
        if self._cells is None and self._cells_looks:
            self._cells_looks -= 1
            self._cells = cache_cells(first_lines(self.record.log))
        return self._cells

    def take_over(self) -> bool:
        """Control it, if the kvtui that did has gone; True if this one does now."""
        if self.read_only and self._lock.take():
            self.read_only = False
        return not self.read_only

    def ended(self) -> Ended | None:
        """How it ended; `None` while it runs. Noted in the record the first time it is seen."""
        with self._log_lock:
            return self._ended()

    def _ended(self) -> Ended | None:
        if self.record.ended is not None:
            return self.record.ended
        if self.is_running():
            return None
        if self.read_only and (seen := load(self.record.folder)) and seen.ended:
            self.record = seen
            return seen.ended
        self.tail.finish()
        code = self._child.returncode if self._child else None
        lines = list(self.tail.lines)
        reason = None if self._stopping or code == 0 else self._reason(lines, code)
        last = () if self._stopping else tuple(line.text for line in telling(lines))
        ended = Ended(code, time.time(), self._stopping, reason, last)
        self.record = replace(self.record, ended=ended)
        if not self.read_only:
            with contextlib.suppress(OSError):  # no room: what is known here stays known here
                save(self.record)
        return ended

    def _reason(self, lines: Sequence[LogLine], code: int | None) -> str:
        said = explain(lines, code)
        return named(said, self.record.command) if said else _unexplained(code, lines, self._seen_alive)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for its end; False if it still runs."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_running():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def stop(
        self,
        on_step: Callable[[str], None] | None = None,
        steps: Sequence[tuple[signal.Signals, float]] = STOP_STEPS,
    ) -> StopReport:
        """Ask, insist, force: SIGINT, SIGTERM, SIGKILL to its process group, each only if the one before did not do.
        Takes as long as the server needs; `on_step` hears each signal's name. PermissionError if read-only."""
        if self.read_only:
            raise PermissionError(f"another kvtui (pid {self.other_app}) controls this server")
        self._stopping = self._stopping or self.is_running()
        taken: list[tuple[str, float]] = []
        for number, patience in steps:
            if not self.is_running():
                break
            if on_step:
                on_step(number.name)
            began = time.monotonic()
            kill_group(self.record.pid, number)
            self.wait(patience)
            taken.append((number.name, time.monotonic() - began))
        left_over = self._end_the_rest()
        gone = not self.is_running()
        if gone:
            self.ended()
        return StopReport(tuple(taken), gone, left_over)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping

    def signal(self, number: int) -> None:
        """Pass one on to it, and to it alone: it was asked to end, whatever becomes of that."""
        self._stopping = True
        if self.is_running():
            kill(self.record.pid, number)

    def leave(self) -> None:
        """Let go of it without stopping it: another kvtui may take it over."""
        self._lock.release()

    def _end_the_rest(self) -> tuple[Marked, ...]:
        """Processes it forked: by its mark, or still in its session, which is ours as long as one of them lives."""
        return () if self.is_running() else end_the_rest(self.record.pid, self.record.folder.name)


def survivors(state: Path | None = None) -> tuple[ServerRecord, ...]:
    """Servers of earlier kvtuis that still run, and those whose end nobody has seen yet, newest first: `is_alive`
    tells which, and `ServerProcess.attach(record).ended()` says why."""
    return tuple(record for record in records(state) if record.ended is None)


def end_the_rest(pid: int, mark: str) -> tuple[Marked, ...]:
    """Kill what a server that has gone forked: processes with its mark, and of the session that it led."""
    found = {m.pid: m for m in marked(LAUNCH_VARIABLE, mark) if m.pid != pid}
    found |= {member: Marked(member, name_of(member), mark) for member in _session_members(pid) if member not in found}
    return tuple(m for m in found.values() if kill(m.pid, signal.SIGKILL))


def _unexplained(code: int | None, lines: Sequence[LogLine], seen_alive: bool) -> str:
    if any("cleaning up before exit" in line.text for line in lines):  # tools/server/server.cpp, llama_server
        return "it was asked to end, from outside"
    if code is None and seen_alive:
        return "ended all at once before kvtui's eyes, without a last word in its log: killed from outside, by its look"
    if code is None:
        return "ended while no kvtui was watching, without a known last word in its log"
    return f"ended with exit code {code}"


def _session_members(session: int) -> list[int]:
    import psutil

    if process_identity(session) is not None:
        return []  # the number belongs to a process again: not ours to touch
    members = []
    for pid in psutil.pids():
        try:
            if pid != session and os.getsid(pid) == session and process_identity(pid) is not None:
                members.append(pid)
        except OSError:
            continue
    return members
