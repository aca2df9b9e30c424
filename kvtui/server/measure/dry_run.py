"""llama-server's own measurement of what some flags take: started with --fit on, stopped before it loads.

It is not free: back ends open their contexts for that moment (hundreds of MiB on each CUDA GPU) and recurrent state is
allocated for real. So not at every key, and not beside a GPU that is full.
"""

import hashlib
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kvtui.base.fields import Fields
from kvtui.base.files import cache_folder
from kvtui.base.stored import Kept
from kvtui.header.split_set import split_part
from kvtui.server.binary.abilities import adapt_argv, split_options
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary, list_devices, stamp
from kvtui.server.log.breakdown import (
    MIB,
    Breakdown,
    LoggedMemory,
    Parts,
    before_strings,
    device_of_buffer,
    genuine,
    is_table,
    logged_memory,
)
from kvtui.server.log.follow import LINE_LIMIT_BYTES, parse_line
from kvtui.server.log.lines import LogLine
from kvtui.server.log.own import FAILED, START
from kvtui.server.log.own import MIB as LOGGED_MIB
from kvtui.server.log.reasons import explain, telling
from kvtui.server.measure.trust import unannounced
from kvtui.server.process.ports import free_port
from kvtui.server.process.rpc import users_of
from kvtui.server.program.short_lived import Cancelled as Cancelled
from kvtui.server.program.short_lived import ShortLived

OUTPUT_LIMIT_BYTES = 16 * 2**20  # a model of a thousand tensors takes 0.5 MiB
LINES_LIMIT = 100_000
CACHE_VERSION = 2
FIT_OPTIONS = ("-fit", "--fit", "-fitt", "--fit-target", "-fitc", "--fit-ctx")

_LAYER = re.compile(START + r"load_tensors: layer\s+(\d{1,6}) assigned to device ([^\s,]+)")
_MMPROJ = re.compile(START + r"(?:\w+: )?\[mtmd\] adding (" + LOGGED_MIB + r") MiB to fit_params_target for device (\S+)")
# After these it goes on to load for real: common/fit.cpp, common_fit_params; src/llama-model.cpp, print_info.
_GIVES_UP = re.compile(FAILED + r"(?:\w+: )+(?:encountered an error while trying|failed) to fit params")
_LOADS = re.compile(START + r"print_info: no_alloc\s+= 0$")
_FOREIGN = "text of the model stands among the server's own lines: its figures cannot be told apart"


@dataclass(frozen=True)
class DryRun:
    """What llama-server says it would allocate. Bytes in whole MiB, rounded down, but compute to 0.01 MiB where its
    log has that. `layer_devices`: one name a block and the output last; "CPU" for host memory. `mmproj`: what a
    projector would take beside it. `refused`: why it would not load; `impossible`: why it could not be asked."""

    build: str
    devices: Mapping[str, Parts] = field(default_factory=dict)
    host: Mapping[str, Parts] = field(default_factory=dict)
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    mmproj: Mapping[str, int] = field(default_factory=dict)
    layer_devices: tuple[str, ...] = ()
    refused: str | None = None
    impossible: str | None = None
    seconds: float = 0.0
    cached: bool = False
    notes: tuple[str, ...] = ()


def dry_run(
    binary: ServerBinary,
    model_path: Path,
    argv: Sequence[str],
    timeout: float = 60.0,
    *,
    env: Mapping[str, str] | None = None,
    devices: Sequence[str] = (),
    cancel: threading.Event | None = None,
    cache: Path | None = None,
) -> DryRun:
    """Ask for these flags (as after `-m MODEL`; --fit is replaced). `devices`: names that must be there, as a plan
    for simulated ones has none to run on. Remembered by binary, model and flags, unless the flags leave the split to
    the memory free now. Raises Cancelled within 50 ms of `cancel`; OSError if the binary cannot be started."""
    began = time.monotonic()
    adapted, notes = adapt_argv(argv, binary)
    options = [o for o in split_options(adapted, binary) if o[0] not in FIT_OPTIONS]
    flags = tuple(word for name, values in options for word in (name, *values))
    unable = _impossible(binary, options, devices)
    if unable:
        return DryRun(binary.build, impossible=unable)
    store = _store(binary, model_path, flags, env or {}, cache) if {"-ts", "--tensor-split"} & set(flags) else None
    if store and (known := _KEPT.load(store)):
        return known
    port = free_port(0).port
    command = [str(binary.path), "-m", str(model_path.absolute()), *flags]
    command += ["--host", "127.0.0.1", "--port", str(port), "--fit", "on", "-v"]
    command += ["--log-jsonl"] if "--log-jsonl" in binary.flags else []  # there a model's text stays within its line
    heard = _first_words(command, child_environment(binary.path, env), timeout, cancel)
    if heard.code and not heard.lines:  # it can exit before its log's own thread has written a word (common/log.cpp)
        heard = _first_words(command, child_environment(binary.path, env), timeout, cancel)
    found = replace(_read(binary.build, heard, timeout), notes=notes, seconds=time.monotonic() - began)
    if store and (found.devices or found.host):
        _KEPT.save_if_possible(store, found)
    return found


def _impossible(binary: ServerBinary, options: Sequence[tuple[str, tuple[str, ...]]], devices: Sequence[str]) -> str | None:
    if "--fit" not in binary.flags:
        return f"{binary.build or 'this build'} has no --fit and so no dry run"
    values = {name: value[0] for name, value in options if value}
    if "tensor" in (values.get("-sm"), values.get("--split-mode")):
        return "with -sm tensor llama-server prints no memory breakdown"
    rpc = tuple(filter(None, values.get("--rpc", "").split(",")))
    if taken := users_of(rpc):
        end, record = next(iter(taken.items()))
        return f"the ggml-rpc-server at {end} answers one client at a time, and llama-server (pid {record.pid}) has it"
    if devices:
        there = {d.name for d in list_devices(binary, rpc)}
        missing = [name for name in devices if name not in there]
        if missing:
            return f"llama-server does not have {', '.join(missing)}: it cannot be asked about simulated devices"
    return None


LISTEN_ON_SECONDS = 0.1  # after the answer; print_info says all of a model's strings within a few milliseconds


@dataclass(frozen=True)
class _Heard:
    """The log up to where the answer is complete, or to the line after which it loads for real (`too_far`); the exit code if
    it ended by itself, `None` if it was stopped."""

    lines: Sequence[LogLine]
    code: int | None = None
    too_much: bool = False
    too_far: bool = False
    after: Sequence[LogLine] = ()  # what came just after the answer: a model's name of several lines shows by it


def _first_words(command: Sequence[str], env: Mapping[str, str], timeout: float, cancel: threading.Event | None) -> _Heard:
    lines: list[LogLine] = []
    after: list[LogLine] = []
    rest = b""
    in_table = complete = too_far = False
    with ShortLived(command, env, timeout) as program:
        for data in program.pieces(OUTPUT_LIMIT_BYTES, cancel):
            *whole, rest = (rest + data).split(b"\n")
            rest = rest[:LINE_LIMIT_BYTES]
            for raw in filter(None, whole):
                line = parse_line(raw)
                if complete or too_far:
                    after.append(line)
                    continue
                lines.append(line)
                too_far = any(p.search(line.text) for p in (_GIVES_UP, _LOADS))
                if len(lines) >= LINES_LIMIT:
                    return _Heard(lines, too_much=True)
                row = " - " in line.text and "|" in line.text
                complete = in_table and not row
                in_table = is_table(line.text) or (in_table and row)
                if complete or too_far:
                    program.listen_on(LISTEN_ON_SECONDS)
    if complete or too_far:
        return _Heard(lines, too_far=too_far, after=after)
    if rest:
        lines.append(parse_line(rest))
    return _Heard(lines, program.returncode if program.ended else None, program.too_much)


def _read(build: str, heard: _Heard, timeout: float) -> DryRun:
    lines, code = heard.lines, heard.code
    texts = genuine([line.text for line in lines])[0]
    memory = logged_memory([line.text for line in lines])
    if memory.table is None:
        said = explain(lines, code) or next((line.text for line in telling(lines, 1)), None)
        if heard.too_far and not _goes_on_to_load(lines, heard.after):
            return DryRun(build, impossible=_FOREIGN)
        if code is None and not heard.too_far:
            if heard.too_much:
                return DryRun(build, impossible="it says more than a dry run does, and no answer in it")
            return DryRun(build, impossible=f"no answer within {timeout:.0f} s")
        return DryRun(build, refused=said or "it ended without a word")
    if memory.foreign or genuine([line.text for line in (*lines, *heard.after)])[1]:
        return DryRun(build, impossible=_FOREIGN)
    if strange := unannounced(memory.table, memory):
        return DryRun(build, impossible=f"the log is not to be believed: {strange}")
    layers = {int(found[1]): found[2] for text in texts if (found := _LAYER.search(text))}
    mmproj = {found[2]: round(float(found[1]) * MIB) for text in texts if (found := _MMPROJ.search(text))}
    table = _finer(memory.table, memory)
    return DryRun(
        build,
        table.devices,
        table.host,
        table.free_bytes,
        mmproj,
        tuple(layers[i] for i in range(len(layers))) if set(layers) == set(range(len(layers))) else (),
    )


def _goes_on_to_load(lines: Sequence[LogLine], after: Sequence[LogLine]) -> bool:
    """Whether the last of the lines, after which it would load for real, is its own by what came next."""
    texts = [line.text for line in lines]
    if _LOADS.search(texts[-1]) and not before_strings(texts):
        return False
    kept = genuine([*texts, *(line.text for line in after)])[0]
    return any(text is texts[-1] for text in kept) and not any(is_table(line.text) for line in after)


def _finer(table: Breakdown, memory: LoggedMemory) -> Breakdown:
    """Compute buffers to 0.01 MiB, where the lines before the table agree with it (the others say 0 there)."""
    host = sum(part.compute for buffer, part in memory.host.items() if device_of_buffer(buffer, {}) is None)
    finer = {name: _compute(part, memory.devices.get(name, Parts()).compute) for name, part in table.devices.items()}
    rows = {name: _compute(part, host) if name == "Host" else part for name, part in table.host.items()}
    return replace(table, devices=finer, host=rows)


def _compute(part: Parts, logged: int) -> Parts:
    return replace(part, compute=logged) if logged // MIB == part.compute // MIB else part


def _store(binary: ServerBinary, model: Path, flags: Sequence[str], env: Mapping[str, str], cache: Path | None) -> Path | None:
    try:
        stats = [(s.st_size, s.st_mtime_ns) for s in (p.stat() for p in _files(model.absolute()))]
        key = repr((CACHE_VERSION, stamp(binary.path), str(model.absolute()), stats, flags, sorted(env.items())))
    except OSError:
        return None  # the model is not there: the run itself will say so
    return (cache or cache_folder()) / "dry-runs" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _files(model: Path) -> list[Path]:
    split = split_part(model.name)
    return [model.with_name(name) for name in split.names] if split else [model]


def _known(fields: Fields) -> DryRun:
    def parts(name: str) -> dict[str, Parts]:
        rows = {key: Fields(value) for key, value in fields.table(name).items()}
        return {key: Parts(row.whole("model"), row.whole("context"), row.whole("compute")) for key, row in rows.items()}

    return DryRun(
        fields.text("build"),
        parts("devices"),
        parts("host"),
        fields.amounts("free_bytes"),
        fields.amounts("mmproj"),
        fields.texts("layer_devices"),
        seconds=fields.number("seconds"),
        cached=True,
        notes=fields.texts("notes"),
    )


_KEPT = Kept(CACHE_VERSION, _known, asdict)
