"""A llama-server for as long as a block of code lasts: it is gone at its end, and whatever becomes of this process."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kvtui.base.findings import KvtuiError
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import ServerClient, ServerError
from kvtui.server.log.follow import LINE_LIMIT, LogLine, parse_line
from kvtui.server.log.reasons import explain, telling
from kvtui.server.process.ports import free_port
from kvtui.server.process.start import server_command
from kvtui.server.program.short_lived import Cancelled, ShortLived

HOST = "127.0.0.1"
LONGEST_SECONDS = 7 * 86400.0  # even a forgotten one ends
LOAD_SECONDS = 3600.0  # hundreds of GiB from a slow disk
LAST_LINES = 2000
OUTPUT_LIMIT_BYTES = 1 << 40  # it is read and let go
_POLL_SECONDS = 0.05


class NotServed(KvtuiError):
    """The server would not start, or ended before its work was done: one sentence."""


class _Listener:
    """Reads what the server says, so that it never waits for a reader, and keeps the end of it."""

    def __init__(self, program: ShortLived) -> None:
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
                rest = rest[: 4 * LINE_LIMIT]
                self.lines.extend(parse_line(raw) for raw in whole if raw)
        self.over.set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def why(self) -> str:
        """Its last word."""
        lines = list(self.lines)
        return explain(lines) or next((line.text for line in telling(lines, 1)), None) or "it ended without a word"


@contextlib.contextmanager
def passing_server(binary: ServerBinary, model: Path, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[ServerClient]:
    """A client of a server with exactly these flags, once it is ready, on a free port of this machine alone. Raises
    NotServed where it ends by itself, now or in the block; OSError if it cannot be started."""
    port = free_port(0, HOST).port
    command, _ = server_command(binary, model.absolute(), argv, port, HOST)
    with ShortLived(command, child_environment(binary.path, env), LONGEST_SECONDS) as program:
        listener = _Listener(program)
        try:
            client = ServerClient(f"http://{HOST}:{port}")
            _wait(client, listener)
            yield client
        except ServerError as error:
            if listener.over.wait(1.0):  # the line breaks a moment before the process is gone
                raise NotServed(f"llama-server ended: {listener.why()}") from error
            raise NotServed(f"llama-server: {error}") from error
        finally:
            listener.stop()


def _wait(client: ServerClient, listener: _Listener) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while client.health().state != "ready":
        if listener.over.wait(_POLL_SECONDS):
            raise NotServed(f"llama-server ended: {listener.why()}")
        if time.monotonic() > deadline:
            raise NotServed(f"llama-server is not ready after {LOAD_SECONDS:.0f} s")
