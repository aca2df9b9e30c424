"""One llama-server binary: its build, back ends and options, asked from itself and remembered by its files' stamps."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kvtui.base.build import DEFAULT_BUILD, Build, build_in
from kvtui.base.fields import Fields
from kvtui.base.files import cache_folder
from kvtui.base.stored import Kept
from kvtui.flags.known import build_by_flags
from kvtui.hardware.backends import BACKENDS, BY_LIBRARY
from kvtui.hardware.device import Device
from kvtui.hardware.listed import LISTING, parse_list_devices
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.help import Option, parse_help
from kvtui.server.program.run import run_program

# Options that only ik_llama.cpp's help has (its common/common.cpp, gpt_params_print_usage).
IK_OPTIONS = frozenset({"--mla-use", "--attention-max-batch", "--run-time-repack", "--fused-moe", "--no-fused-moe"})
IK_DECLINED = "is ik_llama.cpp, whose flags and memory differ: kvtui plans for ggml-org's llama.cpp only"
NEEDED_OPTIONS = frozenset({"--cache-type-k", "--n-gpu-layers", "--port"})

# A back end's shared library beside the binary.
_LIBRARY = re.compile(r"^(?:lib)?ggml-([a-z]+)[\w.-]*\.(?:so|dylib|dll)")
_VERSION = re.compile(r"version: (\d+) \(([0-9a-f]+|unknown)\)")  # to b9xxx: "version: 6123 (abc1234)"
_BUILD = re.compile(r"\(build (\d+), commit (\w+)\)")  # b10434: "version: 0.1.0-dev (build 1, commit 7e4c0a9)"
_FOLDER_BUILD = re.compile(r"(?:^|[-_.])b?(\d{4,6})(?=$|[-_.])")
_PORT = re.compile(r"\(default: (\d{1,5})\)")  # common/arg.cpp, common_params_parser_init
_FA_QUANTS = re.compile(r"FA_QUANTS = ([\w;,\- ]+?) \|")
_FA_ALL_QUANTS = re.compile(r"FA_ALL_QUANTS = 1")
SMALLEST_BUILD = 1000  # a shallow clone counts 0 or 1 commits: no build number
CACHE_VERSION = 1


@dataclass(frozen=True)
class ServerBinary:
    """What a binary said of itself. `build`: "b11434", "" where nothing tells it; `build_source`: version (it says
    so), package (its wheel's version), folder (a name on its path) or "". `fa_quants`: the K/V pairs its CUDA
    kernels were compiled for, `("all",)`, or `None` where it does not tell. `declined`: why it is not used."""

    path: Path
    build: str
    build_source: str
    version: str  # its own words, one line
    backends: tuple[str, ...]
    options: tuple[Option, ...]
    fa_quants: tuple[str, ...] | None = None
    is_ik: bool = False
    declined: str | None = None

    @cached_property
    def flags(self) -> frozenset[str]:
        """Every name of every option."""
        return frozenset(name for option in self.options for name in option.names)

    @cached_property
    def by_name(self) -> dict[str, Option]:
        """Option by any of its names."""
        return {name: option for option in self.options for name in option.names}

    @cached_property
    def identity(self) -> str:
        """Who it is, for what was measured with it: its build, and a digest of its path, of the size and time of it
        and the libraries beside it, and of its --version. Two that call themselves build 0 differ in the digest."""
        try:
            files = stamp(self.path)
        except OSError:
            files = str(self.path)  # it has been removed meanwhile
        said = repr((files, self.version))
        return f"{self.build}@{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    @property
    def rules(self) -> Build | None:
        """The build whose rules count for it: its number's, or, where it tells none, that of its help's newest flags."""
        return build_in(self.build) or build_by_flags(self.flags)

    @property
    def port(self) -> int:
        """Where it listens without --port: as its help says, which a build of no known number has too."""
        option = self.by_name.get("--port")
        said = _PORT.search(option.text) if option else None
        return int(said[1]) if said else (self.rules or DEFAULT_BUILD).port


def inspect(path: Path, cache: Path | None = None) -> ServerBinary:
    """Ask a binary what it is (0.03 s; seconds where a GPU driver starts), or remember it. OSError if it won't
    start. `declined` is set if it is something else than a llama-server that kvtui knows."""
    key = stamp(path)
    store = (cache or cache_folder()) / "binaries" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}.json"
    known = _STORE.load(store)
    if known is not None and known.key == key:
        return known.binary
    binary = _ask(path)
    if binary.declined is None or binary.is_ik:  # what did not answer today may tomorrow
        _STORE.save_if_possible(store, _Known(key, binary))
    return binary


def list_devices(binary: ServerBinary, rpc: Sequence[str] = (), timeout_seconds: float = 20.0) -> tuple[Device, ...]:
    """Devices the binary sees now, with free memory; `rpc` endpoints (host:port) are asked too. Never cached."""
    argv = [str(binary.path), *(["--rpc", ",".join(rpc)] if rpc else []), "--list-devices"]
    return parse_list_devices(run_program(argv, child_environment(binary.path), timeout_seconds).text)


def heard_devices(binary: ServerBinary, timeout_seconds: float = 20.0) -> tuple[Device, ...] | None:
    """The same, of this machine alone; None where it does not say: it does not start, or not end."""
    try:
        answer = run_program([str(binary.path), "--list-devices"], child_environment(binary.path), timeout_seconds)
    except OSError:
        return None
    return parse_list_devices(answer.text) if LISTING in answer.text else None


def _ask(path: Path) -> ServerBinary:
    env = child_environment(path)
    help_answer = run_program([str(path), "--help"], env)
    options = parse_help(help_answer.text)
    names = {name for option in options for name in option.names}
    version = run_program([str(path), "--version"], env).text if names else help_answer.text
    line = version_line(version)
    build, source = _build(path, version)
    binary = ServerBinary(path, build, source, line, _backends(path, env, names), options)
    if not names >= NEEDED_OPTIONS:
        said = f'it says "{line}"' if line else "it says nothing"
        return _replace(binary, declined=f"{path} does not answer --help as llama-server does: {said}")
    if names & IK_OPTIONS:
        return _replace(binary, is_ik=True, declined=f"{path} {IK_DECLINED}")
    if {"CUDA", "ROCm"} & set(binary.backends):
        return _replace(binary, fa_quants=_fa_quants(path, env))
    return binary


def _replace(binary: ServerBinary, **changes: Any) -> ServerBinary:
    fields = {f: getattr(binary, f) for f in ServerBinary.__dataclass_fields__}
    return ServerBinary(**{**fields, **changes})


def version_line(text: str) -> str:
    """Of what --version says, the line that says "version", or else the first one, printable and short."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((x for x in lines if x.startswith("version:")), lines[0] if lines else "")
    return "".join(c if c.isprintable() else "?" for c in line)[:160].removeprefix("version: ")


def _build(path: Path, version: str) -> tuple[str, str]:
    found = _VERSION.search(version) or _BUILD.search(version)
    if found and int(found[1]) >= SMALLEST_BUILD:
        return f"b{int(found[1])}", "version"
    resolved = path.resolve()
    for package in resolved.parents:
        for info in package.parent.glob(f"{package.name}-*.dist-info"):
            if number := re.search(r"-(?:.*\.)?0*(\d{4,6})(?:\.|$)", info.name.removesuffix(".dist-info")):
                return f"b{number[1]}", "package"
        if package.name in ("site-packages", "dist-packages"):
            break
    for part in reversed(resolved.parts[:-1]):
        if "llama" in part.lower() and (number := _FOLDER_BUILD.search(part)):
            return f"b{number[1]}", "folder"
    return "", ""


def _backends(path: Path, env: dict[str, str], names: set[str]) -> tuple[str, ...]:
    found = {"CPU"}
    for file in path.resolve().parent.iterdir():
        if (library := _LIBRARY.match(file.name)) and library[1] in BY_LIBRARY:
            found.add(BY_LIBRARY[library[1]].name)
    if "--list-devices" in names:
        listed = run_program([str(path), "--list-devices"], env).text
        found |= {d.backend for d in parse_list_devices(listed) if d.backend}
    if "--rpc" in names:  # common/arg.cpp: the option is there only where RPC is built in
        found.add("RPC")
    return tuple(b.name for b in BACKENDS if b.name in found)


# until a server that finds no model has ended: it opens its devices first, and CUDA can take long for many
_LOADING_SECONDS = 30.0


def _fa_quants(path: Path, env: dict[str, str]) -> tuple[str, ...] | None:
    """Compiled K/V pairs, which the server prints in system_info before it misses the model it was given
    (ggml-cuda.cu, ggml_backend_cuda_get_features)."""
    missing = path.parent / "no-such-model.gguf"
    text = run_program([str(path), "-m", str(missing), "--host", "127.0.0.1", "--port", "0"], env, _LOADING_SECONDS).text
    return parse_fa_quants(text)


def parse_fa_quants(text: str) -> tuple[str, ...] | None:
    """The list in a system_info line, as ("q4_0-q4_0", "q8_0-q8_0", ...)."""
    if _FA_ALL_QUANTS.search(text):
        return ("all",)
    found = _FA_QUANTS.search(text)
    return tuple(pair.strip() for pair in re.split(r"[;,]", found[1]) if pair.strip()) if found else None


def stamp(path: Path) -> str:
    """Name, size and time of the binary and of the libraries beside it: often all the code is in those."""
    resolved = path.resolve()
    files = [resolved, *(f for f in resolved.parent.iterdir() if re.search(r"\.(so|dylib|dll)\b", f.name))]
    stats = sorted((f.name, s.st_size, s.st_mtime_ns) for f in files if (s := _stat(f)))
    return hashlib.sha256(repr((CACHE_VERSION, str(resolved), stats)).encode()).hexdigest()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None  # a dangling link


@dataclass(frozen=True)
class _Known:
    """What is remembered of a binary, and the stamp of its files when it said so."""

    key: str
    binary: ServerBinary


def _known(fields: Fields) -> _Known:
    b = Fields(fields.get("binary"))
    options = tuple(Option(o.texts("names"), o.text("value_hint"), o.text("text")) for o in map(Fields, b.items("options")))
    return _Known(
        fields.text("key"),
        ServerBinary(
            path=Path(b.text("path")),
            build=_build_name(b.text("build")),
            build_source=b.text("build_source"),
            version=b.text("version"),
            backends=b.texts("backends"),
            options=options,
            fa_quants=b.texts("fa_quants") if b.get("fa_quants") is not None else None,
            is_ik=b.flag("is_ik"),
            declined=b.text("declined") if b.get("declined") is not None else None,
        ),
    )


def _build_name(text: str) -> str:
    if not re.fullmatch(r"(b[0-9]{1,9})?", text):
        raise ValueError("build is no bN")
    return text


_STORE = Kept(
    CACHE_VERSION,
    _known,
    lambda known: {"key": known.key, "binary": {**asdict(known.binary), "path": str(known.binary.path)}},
)
