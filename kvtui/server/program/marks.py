"""Our mark in the environment of what we start: it is found by it, whatever session or group it went to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.text import printable

LAUNCH_VARIABLE = "KVTUI_LAUNCH"  # a server: the name of its launch's folder
ASKED_VARIABLE = "KVTUI_ASKED_BY"  # a program asked for its words: who asked, by pid and identity
PROC = Path("/proc")
NAME_LIMIT = 40  # characters


@dataclass(frozen=True)
class Marked:
    """A process that carries a mark, as it was seen."""

    pid: int
    name: str
    mark: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def process_identity(pid: int) -> str | None:
    """When a process started, exactly: boot and clock ticks on Linux, its creation time elsewhere. `None`: it is
    gone, or a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"  # proc(5): 3 is the state, 22 the start time
    except (OSError, IndexError):
        pass
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def asked_by_us() -> str:
    """The mark of what this very process asks."""
    return f"{os.getpid()} {process_identity(os.getpid())}"


def asker_lives(mark: str) -> bool:
    """Whether whoever asked is still there to hear the answer."""
    pid, _, identity = mark.partition(" ")
    return pid.isdigit() and process_identity(int(pid)) == identity


def marked(variable: str, mark: str | None = None) -> tuple[Marked, ...]:
    """Processes of this user whose environment has `variable` (as `mark`, if given); never this one. One that
    cleared its environment is not found."""
    found = []
    for pid, said in _environments(variable):
        if (mark is None or said == mark) and pid != os.getpid() and process_identity(pid) is not None:
            found.append(Marked(pid, name_of(pid), said))
    return tuple(found)


def _environments(variable: str) -> Iterator[tuple[int, str]]:
    if not (PROC / "self" / "environ").exists():
        yield from _environments_by_psutil(variable)
        return
    wanted = f"{variable}=".encode()
    for entry in os.listdir(PROC):
        if entry.isdigit():
            try:
                content = (PROC / entry / "environ").read_bytes()
            except OSError:
                continue  # another user's, or gone
            if wanted in content:
                said = next((e for e in content.split(b"\0") if e.startswith(wanted)), None)
                if said is not None:
                    yield int(entry), said[len(wanted) :].decode("utf-8", "replace")


def _environments_by_psutil(variable: str) -> Iterator[tuple[int, str]]:
    import psutil

    for process in psutil.process_iter():
        try:
            said = process.environ().get(variable)
        except (psutil.Error, OSError):
            continue
        if said is not None:
            yield process.pid, said


def name_of(pid: int) -> str:
    """A process by its program's name; "?" where that is not told."""
    try:
        return printable((PROC / str(pid) / "comm").read_text(errors="replace").strip(), NAME_LIMIT) or "?"
    except OSError:
        pass
    import psutil

    try:
        return printable(psutil.Process(pid).name(), NAME_LIMIT) or "?"
    except psutil.Error:
        return "?"
