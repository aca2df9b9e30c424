"""Ask a llama-server what it takes, with headers alone: sparse files of the real size, no weight is read."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from headers import ARCHIVE, read_archive

SECONDS = 120.0  # the longest that a server may take to answer
LOAD = ("--fit", "off", "--no-warmup")
DRY_RUN = ("--fit", "on")

# llama-model.cpp, load_tensors; llama-kv-cache.cpp, llama-memory-recurrent.cpp and llama-context.cpp, their constructors and
# sched_reserve; common/fit.cpp, common_memory_breakdown_print
_LAYER = re.compile(r"layer\s+(\d+) assigned to device ([^\s,]+), is_swa = (\d)")
_CACHE = re.compile(r"llama_kv_cache\S*: size =\s*([\d.]+) MiB \(\s*(\d+) cells,\s*(\d+) layers,\s*\d+/(\d+) seqs\)")
_STATE = re.compile(r"llama_memory_recurrent: size =\s*([\d.]+) MiB")
_WEIGHTS = re.compile(r"(\S+) model buffer size =\s*([\d.]+) MiB")
_COMPUTE = re.compile(r"(\S+) compute buffer size =\s*([\d.]+) MiB")
_EXPERT_CACHE = re.compile(r"(\S+) MoE cache size =\s*([\d.]+) MiB")  # llama-moe-cache.cpp, its constructor
_SPLITS = re.compile(r"sched_reserve: .*splits = (\d+)")
_DEVICE_ROW = re.compile(r"\|\s+- (\S+) \(.*\|\s*\d+ =\s*-?\d+ \+ \(\s*\d+ =\s*(\d+) \+\s*(\d+) \+\s*(\d+)\) \+")
_HOST_ROW = re.compile(r"\|\s+- (\S+)\s*\|\s*\d+ =\s*(\d+) \+\s*(\d+) \+\s*(\d+)")
_NEXT_CONTEXT = re.compile(r"constructing llama_context")
_ERROR = re.compile(r" E (?:llama|srv|cmn|common)")
_RESERVED = re.compile(r"sched_reserve: reserve took")
_GIVES_UP = re.compile(r"failed to fit params|encountered an error while trying to fit params")


@dataclass
class Said:
    """What a server said, in its own MiB. `caches` and `states`: a list a context, the model's own first."""

    devices: list[dict[str, Any]] = field(default_factory=list)
    host: dict[str, dict[str, int]] = field(default_factory=dict)
    layers: dict[int, str] = field(default_factory=dict)
    swa: list[int] = field(default_factory=list)
    caches: list[list[dict[str, Any]]] = field(default_factory=list)
    states: list[list[float]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    compute: dict[str, float] = field(default_factory=dict)
    expert_cache: dict[str, float] = field(default_factory=dict)
    splits: int | None = None
    errors: list[str] = field(default_factory=list)


def read(lines: Iterator[str], *, contexts: int = 0) -> Said:
    """A log: a dry run's up to its table, a load's until that many `contexts` have their buffers."""
    said = Said()
    table = False
    reserved = 0
    for line in lines:
        if "memory breakdown [MiB]" in line:
            table = True
        elif table and (row := _DEVICE_ROW.search(line)):
            said.devices.append({"name": row[1], **_parts(row)})
        elif table and (row := _HOST_ROW.search(line)):
            said.host[row[1]] = _parts(row)
        elif table:
            break
        elif _NEXT_CONTEXT.search(line):
            said.caches.append([])
            said.states.append([])
        elif found := _LAYER.search(line):
            said.layers.setdefault(int(found[1]), found[2])
            if found[3] == "1" and int(found[1]) not in said.swa:
                said.swa.append(int(found[1]))
        elif found := _CACHE.search(line):
            mib, *counts = found.groups()
            said.caches[-1].append(
                {"mib": float(mib), **dict(zip(("cells", "layers", "streams"), map(int, counts), strict=True))}
            )
        elif found := _STATE.search(line):
            said.states[-1].append(float(found[1]))
        elif found := _WEIGHTS.search(line):
            said.weights[found[1]] = float(found[2])
        elif found := _COMPUTE.search(line):
            said.compute[found[1]] = float(found[2])
        elif found := _EXPERT_CACHE.search(line):
            said.expert_cache[found[1]] = float(found[2])
        elif found := _SPLITS.search(line):
            said.splits = said.splits if said.splits is not None else int(found[1])
        elif _ERROR.search(line):
            said.errors.append(line.strip())
        reserved += bool(_RESERVED.search(line))
        if _GIVES_UP.search(line) or (contexts and reserved == contexts):
            break
    return said


def _parts(row: re.Match[str]) -> dict[str, int]:
    return dict(zip(("model", "context", "compute"), map(int, row.groups()[1:4]), strict=True))


@contextlib.contextmanager
def log_of(server: Path, model: Path, flags: Sequence[str], *own: str) -> Iterator[Iterator[str]]:
    """The lines of a server with these flags; it is gone at the end, and after `SECONDS`. Variables of the shell pass to it,
    but not those that are llama-server's own settings."""
    command = [server, "-m", model, "--host", "127.0.0.1", "--port", str(_free_port()), "-v", *own, *flags]
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMA_ARG_")}
    env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [env.get("LD_LIBRARY_PATH"), str(server.parent)]))
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        start_new_session=True,
    )
    assert child.stdout is not None
    bound = threading.Timer(SECONDS, child.kill)
    bound.start()
    try:
        yield iter(child.stdout)
    finally:
        bound.cancel()
        child.kill()
        child.stdout.close()
        child.wait()


@contextlib.contextmanager
def rpc_devices(server: Path, count: int) -> Iterator[tuple[str, ...]]:
    """That many ggml-rpc-server of one CPU device each on loopback, and the flag that names them."""
    program = server.with_name("ggml-rpc-server")
    ports = [_free_port() for _ in range(count)]
    quiet = subprocess.DEVNULL
    env = {**os.environ, "LD_LIBRARY_PATH": str(server.parent)}
    children = [
        subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port), "-d", "CPU"], stdout=quiet, stderr=quiet, env=env)
        for port in ports
    ]
    try:
        for port in ports:
            _until_listens(port)
        yield ("--rpc", ",".join(f"127.0.0.1:{port}" for port in ports)) if ports else ()
    finally:
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()


def _until_listens(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.1):
            return
        threading.Event().wait(0.05)
    raise SystemExit(f"no ggml-rpc-server on port {port}")


def sparse(name: str, folder: Path) -> Path:
    """A header of the archives as a file of its real size."""
    path = folder / f"{name}.gguf"
    if not path.exists():
        heads, sizes = next(a for a in _archives() if name in a[0])
        path.write_bytes(heads[name])
        os.truncate(path, sizes[name])
    return path


@cache
def _archives() -> tuple[tuple[dict[str, bytes], dict[str, int]], ...]:
    return tuple(read_archive(path) for path in sorted(ARCHIVE.parent.glob("headers*.tar.xz")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
