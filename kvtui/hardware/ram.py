"""RAM of this machine: psutil, and the limit of the cgroup the program runs in."""

from pathlib import Path

from kvtui.hardware.device import HostMemory

_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number for "no limit"


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def cgroup_memory(root: Path = Path("/sys/fs/cgroup"), cgroup: Path = Path("/proc/self/cgroup")) -> tuple[int, int] | None:
    """(limit, used) in bytes of the tightest cgroup, v2 or v1, or None where there is no limit."""
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers not in ("", "memory"):
            continue
        folder = root / (controllers and "memory") / name.lstrip("/")
        files = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        for place in (folder, *folder.parents):
            limit, used = _number(place / files[0]), _number(place / files[1])
            if limit is not None and limit < _UNLIMITED:
                found.append((limit, used or 0))
            if place == root:
                break
    return min(found, default=None, key=lambda x: x[0] - x[1])


def host_memory() -> HostMemory:
    """What is available and installed, within the cgroup's limit."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = int(memory.available), int(memory.total)
    limit = cgroup_memory()
    if limit is not None:
        total = min(total, limit[0])
        free = min(free, max(limit[0] - limit[1], 0))
    return HostMemory(free, total)
