"""What the screen costs: `python -m tests.bench.screen [--lean]`, each figure beside what is asked for.

The real program on a pseudoterminal and a driver that is played (tests/hardware/played_nvml.c): four cards whose memory, load,
temperature and power are others each second. Bytes are all that the program sends."""

import argparse
import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kvtui.server.process.ports import free_port, is_free
from tests.header_archive import DATA, HeaderArchive
from tests.tui.stub_server import stub_server

SIZES = ((80, 24), (160, 45))
SMALL = SIZES[0]
MODEL = "qwen3-30b-a3b-q4_k_m"
QUIET_SECONDS, IDLE_SECONDS, LOG_SECONDS, UNREAD_SECONDS = 1.5, 20.0, 10.0, 12.0
START_MOST = 20.0  # seconds until the search is over
LAUNCH_MOST = 60.0  # seconds until the server listens
IDLE_MOST = {SMALL: 400, (160, 45): 800}  # bytes a second
KEY_MOST = {SMALL: 4_000, (160, 45): 8_000}  # bytes
FIRST_MOST = 12_000  # bytes at 80x24
FIRST_BEHIND = 0.15  # seconds, and seconds of CPU, after an empty Textual app
STARTS = 20  # of each, by turns; the fastest count: the others tell what else the machine did
LOG_MOST, LOG_LINES = 6_000, 100  # bytes a second, lines a second
UNREAD_MOST = 16_000  # bytes that wait: two screens, and less than what was written meanwhile
KEYS = {"h": "h", "C": "C", "v": "v", "3": "3", "?": "?", "esc": "\x1b", "u": "u"}
EMPTY = "from textual.app import App; App().run(mouse=False)"
PROGRAM = "from kvtui.cli import main; main()"


class Screen:
    """A program on a pseudoterminal of its own; what it sends is counted as it is read."""

    def __init__(self, size: tuple[int, int], program: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.began = time.monotonic()
        self.said = b""
        self._fd, slave = pty.openpty()
        termios.tcsetwinsize(slave, (size[1], size[0]))
        own = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        command = [sys.executable, "-c", program, *argv]
        held = {k: v for k, v in os.environ.items() if not k.startswith("SSH_") and k != "PYTHONDONTWRITEBYTECODE"}
        self._child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env={**held, **own, **env}, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """What comes in so long a time."""
        deadline, found = time.monotonic() + seconds, b""
        while (left := deadline - time.monotonic()) > 0:
            found += self._next(left)
        return found

    def _next(self, seconds: float) -> bytes:
        """What comes first in so long a time."""
        found = os.read(self._fd, 65536) if select.select([self._fd], [], [], seconds)[0] else b""
        self.said += found
        return found

    def until(self, words: bytes, most: float = START_MOST, *, codes: bool = False) -> float:
        """Seconds since the start until it has said so, its codes left out unless `codes`."""
        while words not in (self.said if codes else re.sub(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]", b"", self.said)):
            if time.monotonic() - self.began > most:
                raise SystemExit(f"the screen never said {words!r}")
            self._next(0.02)
        return time.monotonic() - self.began

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has taken, all threads together (Linux: the clock of another process is ~pid * 8 + 2)."""
        return time.clock_gettime((~self._child.pid << 3) | 2)

    def press(self, key: str, seconds: float = QUIET_SECONDS) -> int:
        """Bytes that a key makes it send."""
        os.write(self._fd, key.encode())
        return len(self.read(seconds))

    def close(self) -> None:
        """Its end, and nothing left running."""
        self._child.kill()
        self._child.wait()
        os.close(self._fd)


@contextlib.contextmanager
def opened(size: tuple[int, int], program: str, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Screen]:
    """A screen that is closed whatever happens."""
    screen = Screen(size, program, argv, env)
    try:
        yield screen
    finally:
        screen.close()


class Bench:
    """The parts that are measured, each a line a size."""

    def __init__(self, folder: Path, lean: bool) -> None:
        archive = HeaderArchive(DATA / "headers.tar.xz")
        self.model, self.lean = archive.write(MODEL, folder), lean
        source = Path(__file__).parent.parent / "hardware" / "played_nvml.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
        self.stub = stub_server(folder / "llama-b11434", talks=LOG_LINES)
        self.stub.have([(f"CUDA{i}", 24576, 24000) for i in range(4)])
        homes = {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        self.env = {
            **homes,
            "LD_LIBRARY_PATH": str(folder),
            "PLAY": "busy",
            "LLAMA_SERVER": "/nonexistent",
            "PATH": "/usr/bin:/bin",
        }

    def screen(self, size: tuple[int, int], *more: str, **env: str) -> contextlib.AbstractContextManager[Screen]:
        """The app on the model."""
        lean = ["--lean" if self.lean else "--no-lean"]
        return opened(size, PROGRAM, [*(more or ("app", str(self.model))), *lean], {**self.env, **env})

    def start(self) -> None:
        """First screen, idle, and keys."""
        self.first_screen()
        for size in SIZES:
            with self.screen(size) as screen:
                screen.until(b"placement")
                first = len(screen.said)
                screen.read(6)
                said(size, "until the first screen", first, FIRST_MOST if size == SMALL else None, "bytes")
                said(size, "idle", len(screen.read(IDLE_SECONDS)) / IDLE_SECONDS, IDLE_MOST[size], "bytes/s")
                for name, key in KEYS.items():
                    said(size, f"key {name}", screen.press(key), KEY_MOST[size], "bytes")

    def first_screen(self) -> None:
        """Seconds and CPU until the panes are there, beside an empty app's until its last line is painted."""
        best: dict[str, tuple[float, float]] = {}
        for _ in range(STARTS):
            for name, words, opens in (
                ("an empty Textual app", f"\x1b[{SMALL[1]};1H".encode(), lambda: opened(SMALL, EMPTY, (), self.env)),
                ("the demo", b"placement", lambda: self.screen(SMALL, "demo")),
                ("a model", b"placement", lambda: self.screen(SMALL)),
            ):
                with opens() as screen:
                    found = screen.until(words, codes=words.startswith(b"\x1b")), screen.cpu
                best[name] = tuple(map(min, found, best.get(name, found)))
        seconds, cpu = best.pop("an empty Textual app")
        said(SMALL, "an empty Textual app", seconds, None, "s", 3)
        said(SMALL, "an empty Textual app, CPU", cpu, None, "s", 3)
        for name, (took, used) in best.items():
            said(SMALL, f"first screen of {name}", took, seconds + FIRST_BEHIND, "s", 3)
            said(SMALL, f"first screen of {name}, CPU", used, cpu + FIRST_BEHIND, "s", 3)

    def unread(self) -> None:
        """A terminal that is not read for a while."""
        for size in SIZES:
            with self.screen(size) as screen:
                screen.until(b"placement")
                screen.read(4)
                time.sleep(UNREAD_SECONDS)
                said(size, f"unread for {UNREAD_SECONDS:.0f} s", len(screen.read(0.5)), UNREAD_MOST, "bytes")

    def still(self) -> None:
        """Nothing changes."""
        for size in SIZES:
            with self.screen(size, "demo") as screen:
                screen.until(b"placement")
                screen.read(8)
                said(size, "idle, nothing changes", len(screen.read(5)), 0, "bytes")

    def log(self) -> None:
        """A server that writes a hundred lines a second."""
        for size in SIZES:
            port = free_port(0).port
            argv = ("app", str(self.model), "--port", str(port))
            with self.screen(size, *argv, LLAMA_SERVER=str(self.stub.path)) as screen:
                screen.until(b"placement")
                screen.read(4)
                screen.press("L", 3)
                try:
                    while is_free(port, "127.0.0.1"):  # without a server there is nothing to measure
                        if time.monotonic() - screen.began > LAUNCH_MOST:
                            raise SystemExit("the server never listened")
                        screen.press("\r")  # all the same, where the cards are fuller than when it was planned
                    screen.press("z", 3)
                    sent = len(screen.read(LOG_SECONDS)) / LOG_SECONDS
                    said(size, f"a log of {LOG_LINES} lines/s, alone on the screen", sent, LOG_MOST, "bytes/s")
                finally:
                    stopping = time.monotonic()
                    screen.press("x")
                    while not is_free(port, "127.0.0.1") and time.monotonic() - stopping < LAUNCH_MOST:
                        screen.read(0.5)


def said(size: tuple[int, int], what: str, found: float, most: float | None, unit: str, digits: int = 0) -> None:
    """One figure beside what is asked."""
    asked = "" if most is None else f", asked at most {most:,.{digits}f}{'' if found <= most else ': TOO MUCH'}"
    print(f"{size[0]}x{size[1]} {what}: {found:,.{digits}f} {unit}{asked}", flush=True)


def main() -> None:
    """Prints a line a figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lean", action="store_true", help="as over SSH")
    options.add_argument("--only", choices=("first", "start", "still", "unread", "log"))
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.lean)
        if given.only == "first":
            bench.first_screen()
        for name, part in (("start", bench.start), ("still", bench.still), ("unread", bench.unread), ("log", bench.log)):
            if given.only in (None, name):
                part()


if __name__ == "__main__":
    main()
