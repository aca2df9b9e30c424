"""A program asked for its words: bounded in time and output, never through a shell, never outliving who asked."""

import marshal
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Self

from kvtui.base.findings import KvtuiError
from kvtui.server.program.beside import guard
from kvtui.server.program.marks import ASKED_VARIABLE, asked_by_us, marked

GUARD = Path(__file__).parent / "beside" / "guard.py"
READ_BYTES = 1 << 16
POLL_SECONDS = 0.05  # how soon a call to stop is heard
GRACE_SECONDS = 2.0  # of the guard beyond our own deadline, should this process be stopped
START_SECONDS = 20.0  # for a small Python program to begin, on the busiest machine
TURN_VARIABLE = "KVTUI_TURN"  # tells one program of ours from another


class Cancelled(KvtuiError):
    """The person changed something: the answer is not wanted any more."""


class ShortLived:
    """`with ShortLived(...) as program: for piece in program.pieces(...)`: stdout and stderr in one. At the end of
    the block all of it is gone, children in other sessions too. OSError if it cannot be started."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], seconds: float) -> None:
        self._turn = secrets.token_hex(8)
        self._deadline = time.monotonic() + seconds
        self.ended = False  # by itself
        self.too_much = False  # it said more than was to be read
        self.returncode: int | None = None  # known after the block; below 0: a signal
        marks = {ASKED_VARIABLE: asked_by_us(), TURN_VARIABLE: self._turn}
        words = [os.fsencode(word) for word in argv]
        environment = {os.fsencode(k): os.fsencode(v) for k, v in {**env, **marks}.items()}
        mark = f"{TURN_VARIABLE}={self._turn}".encode()
        self._line, other = socket.socketpair()
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD)],
                stdin=other.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            self._line.close()
            raise
        finally:
            other.close()
        try:
            self._start(marshal.dumps((words, environment, seconds + GRACE_SECONDS, mark)), argv[0])
        except OSError:
            self.close()
            raise

    def _start(self, request: bytes, program: str) -> None:
        self._line.settimeout(START_SECONDS)
        self._line.sendall(len(request).to_bytes(guard.HEADER_BYTES, "big") + request)
        answer = b""
        while len(answer) < guard.HEADER_BYTES:
            piece = self._line.recv(guard.HEADER_BYTES - len(answer))
            if not piece:
                raise ChildProcessError(f"{program}: its guard ended early")
            answer += piece
        if number := int.from_bytes(answer, "big"):
            raise OSError(number, os.strerror(number), program)

    def pieces(self, limit_bytes: int, cancel: Event | None = None) -> Iterator[bytes]:
        """What it says, until it ends, the time is up or the limit reached. Cancelled within 50 ms of `cancel`."""
        assert self._guard.stdout is not None
        descriptor = self._guard.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while limit_bytes > 0 and (left := self._deadline - time.monotonic()) > 0:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("it was called off")
                if not selector.select(min(POLL_SECONDS, left)):
                    continue
                data = os.read(descriptor, min(READ_BYTES, limit_bytes))
                if not data:
                    self.ended = True
                    return
                limit_bytes -= len(data)
                self.too_much = limit_bytes <= 0
                yield data

    @property
    def pid(self) -> int | None:
        """Of the program itself; None once it is gone."""
        import psutil

        try:
            return next((child.pid for child in psutil.Process(self._guard.pid).children()), None)
        except psutil.Error:
            return None

    def listen_on(self, seconds: float) -> None:
        """Let it say no more than what comes within so long."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def close(self) -> None:
        """End whatever is left of it."""
        if self.ended and not self._over_in_time():
            self.ended = False
        kill_group(self._guard.pid, signal.SIGKILL)
        self.returncode = self._guard.wait()
        self._line.close()
        if self._guard.stdout is not None:
            self._guard.stdout.close()
        for stray in marked(TURN_VARIABLE, self._turn):
            kill(stray.pid, signal.SIGKILL)

    def _over_in_time(self) -> bool:
        """It closed its output: that is not yet its end."""
        try:
            self._guard.wait(max(self._deadline - time.monotonic(), POLL_SECONDS))
        except subprocess.TimeoutExpired:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kill(pid: int, number: int) -> bool:
    """Signal one process; False when it is gone already, or is not ours."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_group(pid: int, number: int) -> bool:
    """Signal a whole process group; False when it is gone already."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
