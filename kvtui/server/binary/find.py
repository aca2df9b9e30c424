"""Where llama-server may be on this machine."""

import os
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kvtui.base.findings import UsageError
from kvtui.server.binary.chosen import remembered_choice
from kvtui.server.binary.inspect import ServerBinary, inspect
from kvtui.server.binary.named import asked

NAME = "llama-server.exe" if sys.platform == "win32" else "llama-server"

# Below a folder that holds clones or downloads of llama.cpp: their builds.
CLONES = ("llama.cpp", "llama.cpp-*", "llama-b*", "llama_cpp*")
BUILDS = ("build/bin", "build/bin/Release", "build-*/bin", "bin", ".")
HOLDERS = (".", "src", "git", "code", "repos", "projects", "opt", ".local/share")  # in the home folder
SYSTEM = ("/opt", "/usr/local/src", "/srv")
WHEELS = (f"*/bin/{NAME}", f"*/{NAME}", f"*/lib/{NAME}")


def find_servers(explicit: Path | str | None = None, cache: Path | None = None) -> tuple[ServerBinary, ...]:
    """llama-server binaries, best known first: the one asked for (--llama-server, alone then), LLAMA_SERVER, the one
    chosen in the app, PATH, wheels of this Python, usual build folders. Those that are something else carry
    `declined`; programs of that name that do not start are left out. UsageError if the one asked for, or LLAMA_SERVER,
    is none."""
    if explicit:
        return (_asked_for(str(explicit), "--llama-server", cache),)
    named = os.environ.get("LLAMA_SERVER")
    found = [_asked_for(named, "LLAMA_SERVER", cache)] if named else []
    seen = {b.path.resolve() for b in found}
    for path in _likely():
        resolved = path.resolve()
        if resolved in seen:
            continue
        seen.add(resolved)
        try:
            binary = inspect(path, cache)
        except OSError:
            continue
        if binary.declined is None or binary.is_ik:
            found.append(binary)
    return tuple(found)


def _likely() -> Iterator[Path]:
    chosen = remembered_choice()
    if chosen is not None and chosen.is_file() and os.access(chosen, os.X_OK):
        yield chosen
    yield from candidates(os.environ)


def candidates(env: Mapping[str, str]) -> Iterator[Path]:
    """Executable files of the right name, likely ones first; the same file may come twice."""
    for path in _places(env):
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def _places(env: Mapping[str, str]) -> Iterator[Path]:
    for folder in filter(None, env.get("PATH", "").split(os.pathsep)):
        yield Path(folder) / NAME
    for folder in dict.fromkeys([*(p for p in sys.path if p.endswith("-packages")), *_site_folders()]):
        for pattern in WHEELS:
            yield from sorted(Path(folder).glob(pattern))
    holders = [Path(h) for h in SYSTEM]
    if home := env.get("HOME"):
        holders = [Path(home) / h for h in HOLDERS] + holders
    # Not the current folder: a program is not to be started for lying beside a model.
    for holder in holders:
        for clone in (c for pattern in CLONES for c in _glob(holder, pattern)):
            for build in BUILDS:
                yield from _glob(clone, f"{build}/{NAME}")


def _site_folders() -> list[str]:
    return [*site.getsitepackages(), site.getusersitepackages()]


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []  # a folder that cannot be read


def _asked_for(text: str, where: str, cache: Path | None) -> ServerBinary:
    binary = asked(text, NAME, where, lambda path: inspect(path, cache))
    if binary.declined:
        raise UsageError(f"{where}: {binary.declined}")
    return binary


def choose_server(explicit: Path | str | None = None) -> ServerBinary:
    """The first usable binary. UsageError with one line where there is none."""
    found = find_servers(explicit)
    usable = next((b for b in found if not b.declined), None)
    if usable is not None:
        return usable
    declined = next((b.declined for b in found if b.declined), None)
    raise UsageError(declined or "no llama-server found: install llama.cpp, or name one with --llama-server PATH")
