"""How RAM is laid out: NUMA nodes and swap. `root` is where the file system begins."""

from dataclasses import dataclass
from pathlib import Path

from kvtui.hardware.device import NumaNode
from kvtui.hardware.ram import table
from kvtui.hardware.root import ROOT

_KIB = 1024


@dataclass(frozen=True)
class Swap:
    """Swap space of the machine."""

    free_bytes: int
    total_bytes: int


def numa_nodes(root: Path = ROOT) -> tuple[NumaNode, ...]:
    """The nodes by number; () where the kernel tells none."""
    found = []
    for folder in (root / "sys/devices/system/node").glob("node[0-9]*"):
        info = table(folder / "meminfo")
        free = sum(info.get(name, 0) for name in ("MemFree", "Active(file)", "Inactive(file)"))
        try:
            has_cpus = bool((folder / "cpulist").read_text().strip())
        except OSError:
            has_cpus = False
        if info.get("MemTotal"):
            found.append(NumaNode(int(folder.name.removeprefix("node")), free * _KIB, info["MemTotal"] * _KIB, has_cpus))
    return tuple(sorted(found, key=lambda node: node.number))


def swap(root: Path = ROOT) -> Swap:
    """Swap space; zeros where there is none."""
    info = table(root / "proc/meminfo")
    return Swap(info.get("SwapFree", 0) * _KIB, info.get("SwapTotal", 0) * _KIB)
