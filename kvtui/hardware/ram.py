"""RAM of this machine, within the limit of the cgroup the program runs in. `root` is where the file system begins."""

from pathlib import Path

from kvtui.hardware.device import HostMemory
from kvtui.hardware.root import ROOT

_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number for "no limit"
_KIB = 1024  # /proc/meminfo says kB and means KiB

# By version of cgroup: limit, used, and the lines of memory.stat that are file cache (of the cgroup and all below it).
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def table(path: Path) -> dict[str, int]:
    """Lines of a name and a number (`MemTotal: 123 kB`, `inactive_file 123`) as they stand; {} where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, *rest = line.removesuffix(" kB").split()[-2:] or [""]
        if rest and rest[0].isdigit():
            found[name.rstrip(":")] = int(rest[0])
    return found


def cgroup_memory(root: Path = ROOT) -> tuple[int, int] | None:
    """(limit, held) in bytes of the tightest cgroup, v2 or v1, or None where there is no limit. File cache is not held:
    the kernel gives it back to whoever asks (Documentation/admin-guide/cgroup-v2.rst, memory.stat)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    top = root / "sys/fs/cgroup"
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        limit_file, used_file, cached = _V1 if controllers else _V2
        folder = top / (controllers and "memory") / name.lstrip("/")
        for place in (folder, *folder.parents):
            limit, used = _number(place / limit_file), _number(place / used_file)
            if limit is not None and limit < _UNLIMITED:
                stat = table(place / "memory.stat")
                found.append((limit, max((used or 0) - sum(stat.get(name, 0) for name in cached), 0)))
            if place == top:
                break
    return min(found, default=None, key=lambda x: x[0] - x[1])


def _installed(root: Path) -> tuple[int, int]:
    """(available, installed) bytes of the whole machine."""
    info = table(root / "proc/meminfo")
    if "MemAvailable" in info and "MemTotal" in info:
        return info["MemAvailable"] * _KIB, info["MemTotal"] * _KIB
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _file_cache(root: Path) -> int:
    """Bytes of files that the kernel keeps in RAM as long as nobody else wants them."""
    info = table(root / "proc/meminfo")
    return (info.get("Active(file)", 0) + info.get("Inactive(file)", 0)) * _KIB


def host_memory(root: Path = ROOT) -> HostMemory:
    """What is available and installed, within the cgroup's limit."""
    free, total = _installed(root)
    limit = cgroup_memory(root)
    if limit is not None:
        total = min(total, limit[0])
        free = min(free, max(limit[0] - limit[1], 0))
    return HostMemory(free, total, file_cache_bytes=min(_file_cache(root), free))
