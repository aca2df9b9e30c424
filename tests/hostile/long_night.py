"""A night of the app: `python -m tests.hostile.long_night [--short]` runs it without a terminal for 8 hours of its own clock (its
timers' handlers are called as they fall due, without waiting), beside a server that answers and fills its log, with plans
that change and models that are reopened. At the end memory, descriptors and threads are as after the first hour."""

import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from textual.pilot import Pilot
from textual.timer import Timer
from textual.worker import WorkerError

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import HostMemory, Machine
from kvtui.header.shelf import Place
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port
from kvtui.server.process.record import ServerRecord, is_alive
from kvtui.server.process.start import ServerProcess, survivors
from kvtui.tui.app import KvtuiApp
from kvtui.tui.picker.app import PickerApp
from kvtui.tui.run import first_state
from kvtui.tui.session import Session
from kvtui.tui.state import State
from kvtui.tui.themes import chosen_theme, load_themes
from tests.header_archive import DATA, HeaderArchive
from tests.tui.stub_server import HELP
from tests.tui.waiting import until

MOST_GROWN_BYTES = 5 * 2**20
KEYS_SECONDS = 30  # between two visits of a person
VISITS = (("k",), ("e", "escape"), ("v",), ("question_mark", "escape"), ("c", *"1024", "enter"), ("u",), ("4", "up", "end", "2"))
MODELS = ("gemma3-dense", "qwen3-dense")
MACHINE = Machine((), HostMemory(2**36, 2**36, bandwidth=5e10))
SERVER = """\
#!{python}
import sys, time
if "--help" in sys.argv:
    print({help!r})
elif "--version" in sys.argv:
    print("version: 11434 (abcdef0)")
elif "--list-devices" in sys.argv:
    print("Available devices:")
elif sys.argv[-2:] == ["--port", "0"]:
    sys.exit(1)  # asked for its kernels
else:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    said = 0
    class Serving(BaseHTTPRequestHandler):
        def do_GET(self):
            global said
            if self.path == "/slots":
                for said in range(said + 1, said + 1 + {lines}):
                    words = f"new prompt, n_ctx_slot = 512, task.n_tokens = {{said % 500}} " + "x" * 60
                    print(f"0.00.001.000 I slot update_slots: id  0 | task {{said}} | {{words}}")
                sys.stdout.flush()
                body = b'[{{"id":0,"n_ctx":512,"n_prompt_tokens":%d,"is_processing":true}}]' % (said % 500)
            elif self.path == "/metrics":
                body = b"llamacpp:tokens_predicted_total %d\\nllamacpp:tokens_predicted_seconds_total %d\\n" % (said, said // 7)
            else:
                body = b'{{"status": "ok"}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *args):
            pass
    HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Serving).serve_forever()
"""


@dataclass(frozen=True)
class Length:
    """`hours` of so many seconds each. Often in the first and the last of them the person chooses a model from the list; between
    them one app stays open. `lines`: of the log at each look, so many that what is kept of it is full by the first hour's end."""

    hours: int
    hour_seconds: int
    lines: int

    @property
    def ends(self) -> list[int]:
        """The seconds at which an app is left."""
        step = self.hour_seconds // (REOPENED + 1)
        last = (self.hours - 1) * self.hour_seconds
        return [begin + i * step for begin in (0, last) for i in range(1, REOPENED + 1)] + [self.hours * self.hour_seconds]


REOPENED = 6  # times in an hour
NIGHT, SHORT = Length(8, 3600, 16), Length(4, 300, 140)


@dataclass(frozen=True)
class Mark:
    """How the program is at the end of an hour. `press_ms`: of a key, until the screen shows it, the median."""

    traced_bytes: int  # of Python's objects, by tracemalloc
    resident_bytes: int  # with what the allocator keeps of what was given back
    descriptors: int
    threads: Counter[str]
    press_ms: float


class TimedApp(KvtuiApp):
    """Its repeating timers are kept, not started: who drives it has the clock."""

    def __init__(self, session: Session, state: State) -> None:
        super().__init__(session, state)
        self.due: list[tuple[float, Callable[[], Any]]] = []

    def set_interval(self, interval: float, callback: Any = None, **how: Any) -> Timer:
        """Kept; the timer that is given back never fires."""
        self.due.append((interval, callback))
        return Timer(self, interval, callback=callback, pause=True)


@dataclass
class Night:
    """The run; everything it writes is in `folder`."""

    folder: Path
    length: Length
    marks: list[Mark] = field(default_factory=list)
    seconds: int = 0  # by its own clock
    visits: int = 0
    _presses: list[float] = field(default_factory=list)  # of the hour, ms each

    def run(self) -> None:
        """All of it: an app, the list, an app, each in an event loop of its own as in a terminal."""
        archive = HeaderArchive(DATA / "headers.tar.xz")
        paths = [archive.write(name, self.folder) for name in MODELS]
        request, port = self._open(str(paths[0])), Address(free_port(0).port)
        session = Session(path=paths[0], request=request, machine=MACHINE, simulated=False, address=port, opener=self._open)
        try:
            for number, end in enumerate(self.length.ends):
                if number:
                    session = asyncio.run(self._choose(session, paths[number % 2]))
                asyncio.run(self._until(session, end))
        finally:
            for record in self._servers():
                ServerProcess.attach(record).stop()

    @staticmethod
    def _servers() -> list[ServerRecord]:
        return [r for r in survivors() if is_alive(r)]

    @staticmethod
    def _open(name: str) -> Request:
        return Request(load_model(Path(name)), ContextParams(n_ctx=512, n_parallel=1), MACHINE)

    async def _until(self, session: Session, end: int) -> None:
        app = TimedApp(session, first_state(session))
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, lambda: app.state.plan is not None and bool(app.state.binaries) and not app.state.working)
            if not self.seconds:
                await self._launch(app, pilot)
            await until(pilot, lambda: app.server.process is not None)
            while self.seconds < end:
                await self._second(app, pilot)
                if self.seconds % KEYS_SECONDS == KEYS_SECONDS // 2:
                    await self._visit(app, pilot)
                if self.seconds % self.length.hour_seconds == 0:
                    assert app.state.server.ready, app.screen_text()
                    self._mark()
            await pilot.press("o")
            await until(pilot, lambda: app.return_value is not None)

    async def _launch(self, app: KvtuiApp, pilot: Pilot[Any]) -> None:
        await pilot.press("L")
        await until(pilot, lambda: app.state.asking is not None or app.server.process is not None)
        if app.state.asking is not None:  # the port or the memory of whoever runs this
            await pilot.press("enter")

    async def _second(self, app: TimedApp, pilot: Pilot[Any]) -> None:
        self.seconds += 1
        for interval, callback in app.due:
            if self.seconds % max(round(interval), 1) == 0:
                callback()
        with suppress(WorkerError):  # of an app that broke; its own words are shown then
            await app.workers.wait_for_complete()
        assert app.is_running, app.failure
        await pilot.pause(0)

    async def _visit(self, app: TimedApp, pilot: Pilot[Any]) -> None:
        keys = VISITS[self.visits % len(VISITS)]
        self.visits += 1
        for key in keys:
            began = time.perf_counter()
            await pilot.press(key)
            self._presses.append(1000 * (time.perf_counter() - began))
        await until(pilot, lambda: app.state.plan is not None and not app.state.working)

    async def _choose(self, session: Session, path: Path) -> Session:
        app = PickerApp(session, chosen_theme(load_themes()[0], None, {}), (Place("here", self.folder),), self._open)
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, lambda: path.name in app.pane.text())
            await pilot.press(*path.name.removesuffix(".gguf"), "enter")
            await until(pilot, lambda: app.return_value is not None)
        assert app.return_value is not None
        assert app.return_value.path == path
        return app.return_value

    def _mark(self) -> None:
        gc.collect()
        process, threads = psutil.Process(), Counter(t.name for t in threading.enumerate())
        traced = tracemalloc.get_traced_memory()[0]
        presses, self._presses = self._presses, []
        self.marks.append(Mark(traced, process.memory_info().rss, process.num_fds(), threads, median(presses)))

    @property
    def faults(self) -> list[str]:
        """What is not as after the first hour; [] where all is."""
        first, last = self.marks[0], self.marks[-1]
        found = []
        one_app = self.marks[-2]  # what the allocator keeps of apps that have gone is no leak
        for what, grown in {
            "objects": last.traced_bytes - first.traced_bytes,
            "resident memory of one app": one_app.resident_bytes - first.resident_bytes,
        }.items():
            if grown > MOST_GROWN_BYTES:
                found.append(f"{what} grew by {grown / 2**20:.1f} MiB")
        if last.descriptors > first.descriptors:
            found.append(f"{last.descriptors} descriptors, {first.descriptors} after the first hour")
        if leaked := of_nobody(last.threads) - of_nobody(first.threads):
            found.append(f"threads more: {leaked}")
        if twice := [name for name, count in last.threads.items() if name.startswith(POOL) and count > 1]:
            found.append(f"threads of an event loop that is gone: {twice}")
        return found

    def __str__(self) -> str:
        first, last = self.marks[0], self.marks[-1]
        traced = ", ".join(f"{m.traced_bytes / 2**20:.1f}" for m in self.marks)
        resident = ", ".join(f"{m.resident_bytes / 2**20:.0f}" for m in self.marks)
        return (
            f"{self.seconds:,} seconds of its clock, {self.visits:,} visits, {len(self.length.ends) - 1} models reopened: "
            f"{traced} MiB of objects at each hour's end ({resident} resident), {last.descriptors} descriptors "
            f"({first.descriptors} after the first hour), {last.threads.total()} threads ({first.threads.total()}), "
            f"a key {last.press_ms:.0f} ms ({first.press_ms:.0f})"
        )


POOL = "asyncio_"  # threads of an event loop's pool: as many as had work at one time, asyncio's own bound on them


def of_nobody(threads: Counter[str]) -> Counter[str]:
    """Those of no pool."""
    return Counter({name: count for name, count in threads.items() if not name.startswith(POOL)})


def main() -> int:
    """1 where something is not as after the first hour."""
    tracemalloc.start()
    began = time.monotonic()
    length = SHORT if "--short" in sys.argv else NIGHT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "bin" / "llama-server"
        program.parent.mkdir()
        program.write_text(SERVER.format(python=sys.executable, help=HELP, lines=length.lines))
        program.chmod(0o755)
        os.environ |= {x: str(folder / x) for x in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        os.environ["LLAMA_SERVER"] = str(program)
        night = Night(folder / "models", length)
        night.folder.mkdir()
        night.run()
    print(f"{night}; took {time.monotonic() - began:.0f} s")
    for fault in night.faults:
        print(fault, file=sys.stderr)
    return bool(night.faults)


if __name__ == "__main__":
    sys.exit(main())
