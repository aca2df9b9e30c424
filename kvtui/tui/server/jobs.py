"""Jobs about a server, each run in a thread: they take values, post messages, and touch nothing else."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from kvtui.base.findings import UsageError
from kvtui.base.text import printable
from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.placement.plan import Plan
from kvtui.server.binary.find import find_servers
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import ServerClient, ServerError, completion
from kvtui.server.http.stress import StressResult, stress
from kvtui.server.log.follow import first_lines
from kvtui.server.log.progress import LoadProgress
from kvtui.server.measure.dry_run import Cancelled, DryRun, dry_run
from kvtui.server.measure.measured import Measurement, measurements
from kvtui.server.measure.served import ServedRate
from kvtui.server.process.holding import held_by, own_by
from kvtui.server.process.preflight import Address, Preflight, preflight
from kvtui.server.process.record import Ended, ServerRecord, is_alive
from kvtui.server.process.settling import settled
from kvtui.server.process.start import ServerProcess, survivors
from kvtui.tasks.checking import CHECK_SECONDS
from kvtui.tasks.history import NotLearned, keep
from kvtui.tasks.inventory import found_by
from kvtui.tasks.launch import ask_first, needs_of, record_plan
from kvtui.tasks.measuring import take_measurement
from kvtui.tasks.own_speed import keep_served, known_rates
from kvtui.tui.dry_runs import key_of
from kvtui.tui.server.messages import (
    AnswerHeard,
    DevicesListed,
    DryRunDone,
    DryRunHeard,
    LaunchChecked,
    LaunchWaits,
    Measured,
    MeasurementKept,
    ServersFound,
    StatusRead,
    Stressed,
    StressShare,
    SurvivorsFound,
)
from kvtui.tui.work.messages import RatesKnown

Post = Callable[[Message], object]
TEST_TOKENS, TEST_SECONDS = 64, 60.0


def find(asked: str | None, launch: bool) -> Message:
    """Look for binaries."""
    try:
        return ServersFound(tuple(find_servers(asked)), launch)
    except UsageError as e:
        return ServersFound((), launch, str(e))


def list_all_devices(servers: tuple[ServerBinary, ...]) -> Message:
    """Ask each binary for its devices."""
    return DevicesListed(tuple((s, found_by(s)) for s in servers))


def find_survivors(path: Path | None) -> Message:
    """Servers that an earlier kvtui left: of those that run, the newest of the model at `path`, else the newest of all,
    is attached; the ends of others are read."""
    attached, progress, more = None, LoadProgress(), 0
    gone: list[tuple[ServerRecord, Ended]] = []
    model = str(path.absolute()) if path is not None else ""
    for record in sorted(survivors(), key=lambda r: not (r.model == model and is_alive(r))):
        if is_alive(record) and attached is not None:
            more += 1
            continue
        process = ServerProcess.attach(record)
        if process.is_running():
            attached, progress = process, LoadProgress().after(first_lines(record.log))
            continue
        if not process.read_only and (ended := process.ended()):
            gone.append((record, ended))
        process.leave()
    return SurvivorsFound(attached, progress, more, tuple(gone))


def check(
    binary: ServerBinary, plan: Plan, path: Path, address: Address, stopped_at: float | None, off: threading.Event, post: Post
) -> Message | None:
    """Port, devices, free memory, dry run: looked at before anything starts. Memory that is being given back is waited for;
    None where it was called off."""
    needs = needs_of(plan)

    def look() -> Preflight:
        return preflight(binary, needs, address.port_of(binary), address.host)

    since = float("inf") if stopped_at is None else time.monotonic() - stopped_at
    found = settled(look, since, lambda wait: post(LaunchWaits(str(wait), off)), off)
    able = not found.shortages and not found.missing
    answer = ask_first(binary, plan, path, off) if able else None
    return None if off.is_set() else LaunchChecked(binary, plan, found, answer)


def status(process: ServerProcess, devices: tuple[Device, ...], ready: bool) -> Message:
    """/health, or /metrics, /slots and what it holds; a server busy with a long batch says nothing."""
    client = ServerClient(process.record.url, process.api_key)
    try:
        if not ready:
            return StatusRead(process, client.health().state == "ready")
        counters, slots = client.metrics(), client.slots()  # in this order: see http/figures.py
    except ServerError:
        return StatusRead(process, False)
    at, cells = time.monotonic(), process.cells()
    context = cells.of(slots) if cells else sum(s.context for s in slots)
    return StatusRead(process, True, counters, slots, context, at, own_by(process.record.pid, devices, nvml.poll().gpus))


def measure(process: ServerProcess, devices: tuple[Device, ...]) -> Message:
    """What it took, kept for the next plan."""
    try:
        return Measured(process, take_measurement(process, devices), measurements())
    except NotLearned as doubtful:
        return Measured(process, None, problem=str(doubtful))


def keep_measurement(measurement: Measurement) -> Message:
    """Write it down."""
    keep(measurement)
    return MeasurementKept(measurements())


def keep_rates(record: ServerRecord, served: tuple[ServedRate, ...]) -> Message | None:
    """Write down what it showed; all that is known then."""
    return RatesKnown(known_rates()) if keep_served(record, served) else None


def dry_run_of(binary: ServerBinary, path: Path, plan: Plan, kept: Measurement | None, cancel: threading.Event) -> Message | None:
    """The server's own figures for a plan; None where it was called off."""
    names = [d.name for d in plan.request.machine.devices if not d.endpoint]
    try:
        answer = dry_run(binary, path, plan.argv, devices=names, env=dict(plan.env), cancel=cancel)
    except Cancelled:
        return None
    return DryRunDone(record_plan(plan, path), kept, answer)


def hear_dry_run(binary: ServerBinary, path: Path, plan: Plan, cancel: threading.Event) -> Message:
    """What the server says of a plan that nobody asked it about."""
    names = [d.name for d in plan.request.machine.devices if not d.endpoint]
    key = key_of(binary, plan)
    try:
        answer = dry_run(binary, path, plan.argv, CHECK_SECONDS, devices=names, env=dict(plan.env), cancel=cancel)
    except Cancelled:
        return DryRunHeard(key, None)
    except OSError as e:
        answer = DryRun(binary.build, impossible=f"it cannot be started: {e.strerror or e}")
    return DryRunHeard(key, answer)


def stress_pass(
    process: ServerProcess, devices: tuple[Device, ...], all_slots: bool, cancel: threading.Event, post: Post
) -> Message:
    """Fill the slots, with the peak kept."""
    client = ServerClient(process.record.url, process.api_key)

    def sample() -> dict[str, int]:
        return held_by(process.record.pid, devices, nvml.poll().gpus)

    def heard(share: float) -> None:
        post(StressShare(process, share))

    try:
        result = stress(client, sample, all_slots, heard, cancel)
    except ServerError as e:
        result = StressResult(False, 0, 0, 0.0, 0.0, {}, str(e))
    return Stressed(process, result, cancel.is_set())


def answer(client: ServerClient, prompt: str, cancel: threading.Event, post: Post) -> Message | None:
    """Stream the answer; what is heard so far is posted as it comes."""
    asked = {"prompt": prompt, "n_predict": TEST_TOKENS, "cache_prompt": False}
    text = ""

    def heard(said: str) -> Message:
        return AnswerHeard(prompt, "\n".join(printable(part) for part in text.splitlines()), said)

    try:
        for event in client.stream(asked, TEST_SECONDS):
            if cancel.is_set():
                return None
            if "error" in event:
                return heard(f"the server refused: {printable(str(event['error']), 200)}")
            text += str(event.get("content", ""))
            if event.get("stop") is True:
                done = completion({**event, "content": text})
                spoken = f"{done.predicted_tokens} tokens at {done.predicted_rate:.1f} a second"
                return heard(f"{spoken}, prompt of {done.prompt_tokens} at {done.prompt_rate:.1f}")
            post(heard("..."))
    except ServerError as e:
        return heard(str(e))
    return heard("the answer broke off")
