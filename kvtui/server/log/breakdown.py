"""What llama-server's log says of memory: buffer lines while it loads, and its table of all of it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kvtui.base.fields import Fields
from kvtui.base.parse import parse_json
from kvtui.server.log.own import COUNT, START, TEMPLATE, of_exit, of_load
from kvtui.server.log.own import MIB as _MIB

MIB = 2**20

# "load_tensors:  CPU_Mapped model buffer size = 202.39 MiB" and its like: src/llama-model.cpp, llama_model::load_tensors;
# src/llama-kv-cache.cpp and llama-memory-recurrent.cpp, their constructors; src/llama-kv-cache-dsv4.cpp (a state with
# a name); src/llama-context.cpp, sched_reserve; src/llama-adapter.cpp. The output buffer is in no table of the server's.
_BUFFER = re.compile(
    START + r"([\w:~]+):\s+(\S+)\s+(model|LoRA|KV|RS|DSV4 \S+ state|compute) buffer size =\s*(" + _MIB + r") MiB"
)
_PART = {"model": "model", "LoRA": "model", "compute": "compute"}  # everything else is context
_CONTEXT = re.compile(START + r"llama_context: constructing llama_context")
_INFO = re.compile(START + r"print_info: (?!file (?:format|type|size)\s)")
_ARCH = re.compile(START + r"print_info: arch\s*= ")
_PLAIN_LINES = 3  # arch, vocab_only, no_alloc
_LOADER = re.compile(START + r"llama_model_loader: ")
_USING = re.compile(START + r"\w+: using device (\S+) \((.*)\) \([^()]*\) - (" + COUNT + r") MiB free")
_TABLE = re.compile(START + r"\w*memory_breakdown_print: \| memory breakdown \[MiB\]")
_WHOLE = rf"\s*({COUNT})"
_DEVICE_ROW = re.compile(
    rf"\|\s+- (\S+) \((.*)\)\s*\|{_WHOLE} ={_WHOLE} \+ \(\s*\d+ ={_WHOLE} \+{_WHOLE} \+{_WHOLE}\) \+\s*(-?{COUNT}) \|"
)
_OTHER_ROW = re.compile(rf"\|\s+- (\S+)\s*\|\s*\d+ ={_WHOLE} \+{_WHOLE} \+{_WHOLE}\s*\|")
_READ_HERE = (_BUFFER, _CONTEXT, _USING, _TABLE, _LOADER, _DEVICE_ROW, _OTHER_ROW, TEMPLATE)  # all that a line may tell here
_RPC_BUFFER = re.compile(r"(RPC\d+)\[(.+)\]$")


@dataclass(frozen=True)
class Parts:
    """Bytes of one device or host buffer type; the server's table rounds each down to whole MiB."""

    model: int = 0
    context: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All three."""
        return self.model + self.context + self.compute

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(self.model + other.model, self.context + other.context, self.compute + other.compute)


@dataclass(frozen=True)
class Breakdown:
    """One table: devices by name in llama.cpp's order, host rows by buffer type, what was free, and the rest that
    the server cannot explain (total - free - its own)."""

    devices: Mapping[str, Parts]
    host: Mapping[str, Parts]
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    unaccounted_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedMemory:
    """Sums of the buffer lines (hundredths of a MiB), `free_bytes` of each device before the load, and the last
    table where the log has one (a clean exit prints it)."""

    devices: Mapping[str, Parts]
    host: Mapping[str, Parts]
    free_bytes: Mapping[str, int]
    endpoints: Mapping[str, str]  # device: what stands in brackets after it, host:port of RPC devices
    table: Breakdown | None = None
    foreign: bool = False  # lines of the model's own stood among the server's


def genuine(lines: Iterable[str]) -> tuple[list[str], bool]:
    """The lines that the server itself said, and whether others stood between them.

    print_info prints strings of the model as they are, line breaks included (src/llama-model.cpp and llama-vocab.cpp,
    print_info): a name can hold whole lines in the server's form. But from a load's first line of these (the
    architecture) to its last one nothing else is said; so what stands between two
    of them is the model's, a further load that does not begin at its beginning too."""
    kept: list[str] = []
    since: list[str] = []  # after the last print_info line, and the server's own unless another such line follows
    foreign = False
    within = False
    for line in lines:
        if _INFO.search(line):
            begins = _ARCH.search(line) and any(_LOADER.search(x) for x in since)
            if within and since and not begins:
                # back ends print lines of their own past the log, at any moment: harmless, they say nothing of memory
                foreign = foreign or any(p.search(x) for x in since for p in _READ_HERE)
            else:
                kept += since
            since, within = [], True
            kept.append(line)
        else:
            since.append(line)
    return kept + since, foreign


def before_strings(lines: Iterable[str]) -> bool:
    """Whether print_info has said no string of the model's yet: of what it says, the architecture comes first."""
    said = [line for line in lines if _INFO.search(line)][-_PLAIN_LINES:]
    return any(_ARCH.search(line) for line in said)


def logged_memory(said: Iterable[str]) -> LoggedMemory:
    """Read the log of a load (-lv 4)."""
    lines, foreign = genuine(said)
    lines = [*of_load(lines), *of_exit(lines)]
    # a context that reserves again replaces its compute buffers; another context (a draft's) adds its own
    sizes: dict[tuple[int, str, str, str], float] = {}
    endpoints: dict[str, str] = {}
    free: dict[str, int] = {}
    context = 0
    table: list[str] | None = None
    last: Breakdown | None = None
    for line in lines:
        if event := parse_event(line):
            last = event
        elif _CONTEXT.search(line):
            context += 1
        elif found := _BUFFER.search(line):
            where, buffer, kind, mib = found.groups()
            key = (context, where, buffer, kind)
            sizes[key] = float(mib) + (sizes.get(key, 0.0) if kind != "compute" else 0.0)
        elif found := _USING.search(line):
            free.setdefault(found[1], int(found[3]) * MIB)
            endpoints[found[1]] = found[2]
        elif _TABLE.search(line):
            table = []
            continue
        if table is not None:
            if " - " in line and "|" in line:
                table.append(line)
            else:
                last, table = parse_table(table), None
    if table:
        last = parse_table(table)
    devices = {name: Parts() for name in free}
    host: dict[str, Parts] = {}
    for (_, _, buffer, kind), mib in sizes.items():
        name = device_of_buffer(buffer, endpoints)
        part = Parts(**{_PART.get(kind, "context"): round(mib * MIB)})
        target = host if name is None else devices
        target[name or buffer] = target.get(name or buffer, Parts()) + part
    return LoggedMemory(devices, host, free, endpoints, last, foreign)


def is_table(line: str) -> bool:
    """Whether the table begins here."""
    return _TABLE.search(line) is not None


def device_of_buffer(buffer: str, endpoints: Mapping[str, str]) -> str | None:
    """Device of a buffer type's name, `None` for host memory. `endpoints`: RPC devices in order, with host:port; in
    "RPC1[host:port]" the number counts on that server (ggml-rpc.cpp, ggml_backend_rpc_buffer_type)."""
    if buffer.startswith("CPU") or buffer.endswith("_Host"):
        return None
    if rpc := _RPC_BUFFER.match(buffer):
        there = [name for name, endpoint in endpoints.items() if endpoint == rpc[2]]
        number = int(rpc[1][3:])
        return there[number] if number < len(there) else buffer
    return buffer


def parse_table(lines: Iterable[str]) -> Breakdown:
    """The rows of "memory breakdown [MiB]" (common/fit.cpp, common_memory_breakdown_print)."""
    devices: dict[str, Parts] = {}
    host: dict[str, Parts] = {}
    free: dict[str, int] = {}
    unaccounted: dict[str, int] = {}
    for line in lines:
        if row := _DEVICE_ROW.search(line):
            name, _, _, free_mib, *numbers, rest = row.groups()
            devices[name] = Parts(*(int(n) * MIB for n in numbers))
            free[name], unaccounted[name] = int(free_mib) * MIB, int(rest) * MIB
        elif row := _OTHER_ROW.search(line):
            host[row[1]] = Parts(*(int(n) * MIB for n in row.groups()[1:]))
    return Breakdown(devices, host, free, unaccounted)


def parse_event(line: str) -> Breakdown | None:
    """A `fit_memory_breakdown` event of --log-jsonl; `None` for any other line."""
    if '"fit_memory_breakdown"' not in line:
        return None
    try:
        event = parse_json(line)
        if event["type"] != "fit_memory_breakdown":
            return None
        rows = [
            (r["kind"], str(r["name"]), Parts(*(Fields(r).whole(k) * MIB for k in ("model", "context", "compute"))), r)
            for r in event["data"]["rows"]
        ]
        on_device = [(name, parts, row) for kind, name, parts, row in rows if kind == "device"]
        return Breakdown(
            {name: parts for name, parts, _ in on_device},
            {name: parts for kind, name, parts, _ in rows if kind != "device"},
            {name: Fields(row).whole("free") * MIB for name, _, row in on_device},
            {name: Fields(row).whole("unaccounted") * MIB for name, _, row in on_device},
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
