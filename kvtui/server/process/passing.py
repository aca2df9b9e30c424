"""A llama-server for as long as a block of code lasts: it is gone at its end, and whatever becomes of this process."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.findings import KvtuiError
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import ServerClient, ServerError
from kvtui.server.log.follow import LINE_LIMIT_BYTES, parse_line
from kvtui.server.log.lines import LogLine
from kvtui.server.log.reasons import explain, telling
from kvtui.server.process.ports import free_port
from kvtui.server.process.start import server_command
from kvtui.server.program.short_lived import Cancelled, ShortLived

HOST = "127.0.0.1"
LONGEST_SECONDS = 7 * 86400.0  # even a forgotten one ends
LOAD_SECONDS = 3600.0  # hundreds of GiB from a slow disk
FIRST_LINES = 20_000  # more than any load says at the verbosity that tells its buffers
LAST_LINES = 2000
OUTPUT_LIMIT_BYTES = 1 << 40  # it is read and let go
_POLL_SECONDS = 0.05


class NotServed(KvtuiError):
    """The server would not start, or ended before its work was done: one sentence."""


class _Listener:
    """Reads what the server says, so that it never waits for a reader, and keeps the beginning and the end of it."""

    def __init__(self, program: ShortLived) -> None:
        self.first: list[str] = []
        self.lines: deque[LogLine] = deque(maxlen=LAST_LINES)
        self.over = threading.Event()
        self._program = program
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(Cancelled, OSError):
            for piece in self._program.pieces(OUTPUT_LIMIT_BYTES, self._stop):
                *whole, rest = (rest + piece).split(b"\n")
                rest = rest[:LINE_LIMIT_BYTES]
                said = [parse_line(raw) for raw in whole if raw]
                self.first.extend(line.text for line in said[: max(FIRST_LINES - len(self.first), 0)])
                self.lines.extend(said)
        self.over.set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def why(self) -> str:
        """Its last word."""
        lines = list(self.lines)
        return explain(lines) or next((line.text for line in telling(lines, 1)), None) or "it ended without a word"


@dataclass(frozen=True)
class Served:
    """A server that is ready. `load_lines`: what it said until then."""

    client: ServerClient
    pid: int | None
    load_lines: tuple[str, ...]


@contextlib.contextmanager
def passing_server(binary: ServerBinary, model: Path, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[ServerClient]:
    """A client of a server with exactly these flags; as `passing`."""
    with passing(binary, model, argv, env) as served:
        yield served.client


@contextlib.contextmanager
def passing(
    binary: ServerBinary, model: Path, argv: Sequence[str], env: Mapping[str, str], load_seconds: float = LOAD_SECONDS
) -> Iterator[Served]:
    """A server with exactly these flags, once it is ready, on a free port of this machine alone. Raises NotServed where it
    ends by itself, now or in the block, or is not ready in time; OSError if it cannot be started."""
    port = free_port(0, HOST).port
    command, _ = server_command(binary, model.absolute(), argv, port, HOST)
    with ShortLived(command, child_environment(binary.path, env), LONGEST_SECONDS) as program:
        listener = _Listener(program)
        try:
            client = ServerClient(f"http://{HOST}:{port}")
            _wait(client, listener, load_seconds)
            yield Served(client, program.pid, tuple(listener.first))
        except ServerError as error:
            if listener.over.wait(1.0):  # the line breaks a moment before the process is gone
                raise NotServed(f"llama-server ended: {listener.why()}") from error
            raise NotServed(f"llama-server: {error}") from error
        finally:
            listener.stop()


def _wait(client: ServerClient, listener: _Listener, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while client.health().state != "ready":
        if listener.over.wait(_POLL_SECONDS):
            raise NotServed(f"llama-server ended: {listener.why()}")
        if time.monotonic() > deadline:
            raise NotServed(f"llama-server is not ready after {seconds:,.0f} s")
