"""What a server in the foreground says, on its way to where our own words go: nothing in it moves a cursor, fills a clipboard
or turns the direction, whatever a model's name holds."""

import os
import re
import selectors
import threading
from collections.abc import Sequence

from kvtui.base.secrets import HIDDEN
from kvtui.base.text import printable

READ_BYTES = 2**16
PIECE_BYTES = 2**14  # of a line without end
IDLE_SECONDS = 0.2  # after which the beginning of a line is shown: older builds print dots while they load
_UNSAFE = re.compile(rb"[^\n -~]")


class Outlet:
    """Reads one descriptor in a thread and writes to another, line by line. A target that has gone is told no more; the
    source is read all the same, so that its writer never waits. `secrets` are blotted out."""

    def __init__(self, source: int, target: int, secrets: Sequence[str] = ()) -> None:
        self._source, self._target = source, target
        self._secrets = tuple(map(os.fsencode, secrets))
        self._over = threading.Event()
        self._heard = True
        self._thread = threading.Thread(target=self._pass, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """The writer has ended: what it left is passed on, whoever else holds its end."""
        self._over.set()
        self._thread.join()

    def _pass(self) -> None:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._source, selectors.EVENT_READ)
            while True:
                over = self._over.is_set()
                if not selector.select(0 if over else IDLE_SECONDS):
                    self._write(rest)
                    rest = b""
                    if over:
                        return
                    continue
                data = os.read(self._source, READ_BYTES)
                if not data:
                    break
                whole, newline, rest = (rest + data).rpartition(b"\n")
                self._write(whole + newline)
                if len(rest) > PIECE_BYTES:
                    held = max(map(len, self._secrets), default=1) - 1  # the beginning of a secret, it may be
                    self._write(rest[: len(rest) - held])
                    rest = rest[len(rest) - held :]
        self._write(rest)

    def _write(self, data: bytes) -> None:
        data = data if _UNSAFE.search(data) is None else b"\n".join(map(_cleaned, data.split(b"\n")))
        for secret in self._secrets:
            data = data.replace(secret, HIDDEN.encode())
        while data and self._heard:
            try:
                data = data[os.write(self._target, data) :]
            except OSError:
                self._heard = False


def _cleaned(line: bytes) -> bytes:
    return printable(line.decode("utf-8", "replace").rstrip("\r")).encode()
