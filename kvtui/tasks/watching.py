"""`kvtui serve --watch`: a server watched without a screen. What it is and does goes out as JSON, a line each; signals go
to it, and so does its exit code. Its record is that of a launch of the app, which finds it and looks on."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from kvtui.base.exit_codes import as_shells_say
from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.server.http.client import ServerClient, ServerError, Slot, decode_rate
from kvtui.server.http.figures import cache_share, draft_share
from kvtui.server.log.progress import LoadProgress
from kvtui.server.log.serving import Serving
from kvtui.server.measure.comparison import compare, comparison_json, parts_of, predicted_parts
from kvtui.server.measure.grown import grown
from kvtui.server.measure.measured import Measurement
from kvtui.server.measure.served import Idle, served_since
from kvtui.server.process.foreground import PASSED_ON
from kvtui.server.process.holding import RAM, held_by, own_by
from kvtui.server.process.record import Ended
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.history import NotLearned
from kvtui.tasks.measuring import take_measurement
from kvtui.tasks.own_speed import keep_served

SCHEMA = 1
LOOK_SECONDS = 0.2  # how soon its log and its end are heard
Json = dict[str, Any]


class Watch:
    """One server, looked at again and again."""

    def __init__(self, process: ServerProcess, devices: Sequence[Device]) -> None:
        self._process, self._devices = process, devices
        self._client = ServerClient(process.record.url, process.api_key)
        self._progress = LoadProgress()
        self._counters: Mapping[str, float] | None = None
        self._measurement: Measurement | None = None
        self._idle: Idle | None = None
        self._serving = Serving()
        self._held_ready: Mapping[str, int] = {}  # at the first look at it as ready

    @property
    def state(self) -> str:
        """loading, ready or stopping; with `status`, ended too."""
        if self._process.stopping:
            return "stopping"
        return "ready" if self._progress.ready else "loading"

    def look(self) -> None:
        """Hear its log, and ask it whether it is ready: only its own answer says so."""
        while lines := self._process.read_log():
            self._progress = self._progress.after(line.text for line in lines)
            self._serving = self._serving.after(line.text for line in lines)
        if not self._progress.ready and self._client.health().state == "ready":
            self._progress = self._progress.answered()

    def status(self) -> Json:
        """All that can be said now: bytes, tokens, seconds. What is not known is null, in `slots` an empty list."""
        record, state = self._process.record, self.state
        held = held_by(record.pid, self._devices, nvml.poll().gpus)
        if state == "ready" and self._measurement is None:
            try:
                self._measurement = take_measurement(self._process, self._devices)
            except NotLearned:  # what it took is then not told; the plan's figures are
                self._measurement = None
        plan = record.plan or {}
        rows = compare(predicted_parts(plan), parts_of(plan.get("dry_run")), self._measurement)
        return {
            **self._head(state),
            "stage": self._progress.stage,
            "progress": self._progress.fraction,
            **self._served(),
            "prompts": list(self._serving.prompts),
            "checkpoints": self._serving.checkpoints,
            "grew": self._grew() if state == "ready" else [],
            "memory": comparison_json(rows),
            "held": {"CPU" if name == "RAM" else name: n_bytes for name, n_bytes in held.items()},
        }

    def end(self, ended: Ended) -> Json:
        """The last line."""
        return {
            **self._head("ended"),
            "exit_code": ended.exit_code,
            "stopped": ended.stopped,
            "reason": ended.reason,
            "telling": list(ended.telling),
        }

    def _head(self, state: str) -> Json:
        record = self._process.record
        return {"schema": SCHEMA, "time": time.time(), "state": state, "pid": record.pid, "url": record.url}

    def _served(self) -> Json:
        """Slots and rates; of a server that is loading, or busy with a long batch, nothing."""
        nothing: Json = {"tokens_per_second": None, "slots": [], "counters": None, "cache_share": None, "draft_share": None}
        if self.state != "ready":
            return nothing
        try:
            counters, slots = self._client.metrics(), self._client.slots()  # in this order: see http/figures.py
        except ServerError:
            return nothing
        self._learn_speed(counters, slots)
        before, self._counters = self._counters, counters
        rate = decode_rate(before, counters) if before else None
        return {
            "tokens_per_second": rate,
            "slots": [asdict(s) for s in slots],
            "counters": counters,
            "cache_share": cache_share(counters),
            "draft_share": draft_share(counters),
        }

    def _grew(self) -> list[Json]:
        """What each device and RAM took since it was ready, beside what the plan said would grow; bytes."""
        now = own_by(self._process.record.pid, self._devices, nvml.poll().gpus)
        self._held_ready = self._held_ready or now
        rows = grown(self._process.record.plan or {}, self._held_ready, now)
        return [{**asdict(g), "name": "CPU" if g.name == RAM else g.name} for g in rows]

    def _learn_speed(self, counters: Mapping[str, float], slots: tuple[Slot, ...]) -> None:
        if any(s.busy for s in slots):
            return
        before, self._idle = self._idle, Idle(counters, slots)
        if before is not None and (served := served_since(before, counters, slots)):
            keep_served(self._process.record, served)


def watch(process: ServerProcess, devices: Sequence[Device], every_seconds: float, emit: Callable[[Json], None]) -> int:
    """Until it ends: a line each `every_seconds` and at each change of state. Its exit code, or 128 + the signal."""
    watched = Watch(process, devices)
    said, due = "", 0.0
    while (ended := process.ended()) is None:
        watched.look()
        if watched.state != said or time.monotonic() >= due:
            status = watched.status()
            said, due = status["state"], time.monotonic() + every_seconds
            emit(status)
        time.sleep(LOOK_SECONDS)
    process.leave()
    emit(watched.end(ended))
    return as_shells_say(ended.exit_code or 0)


@contextmanager
def signals_for(launch: Callable[[], ServerProcess]) -> Iterator[ServerProcess]:
    """The server that `launch` starts; signals to this process go to it, those from before it was there too."""
    process: ServerProcess | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is None:
            early.append(number)
        else:
            process.signal(number)

    handlers = {number: signal.signal(number, pass_on) for name in PASSED_ON if (number := getattr(signal, name, None))}
    try:
        process = launch()
        for number in early:
            process.signal(number)
        yield process
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
