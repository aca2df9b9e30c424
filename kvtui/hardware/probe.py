"""What this machine has."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from kvtui.hardware.device import Machine, NumaNode
from kvtui.hardware.found import Found, Unusable, Where
from kvtui.hardware.numa import Swap, numa_nodes, swap
from kvtui.hardware.ram import host_memory
from kvtui.hardware.vendors import find_devices


@dataclass(frozen=True)
class Inventory:
    """The machine to plan for, and what a person should know of the rest of it."""

    machine: Machine
    unusable: tuple[Unusable, ...]  # devices that are there and can't be planned for
    problem: str | None  # why there are no devices, or why their figures are old
    nodes: tuple[NumaNode, ...]
    swap: Swap


def find_inventory(backends: Collection[str] | None = None) -> Inventory:
    """Everything found, each vendor asked once. `backends`: of the llama-server in use, None where it is not known."""
    nodes, swapped = numa_nodes(), swap()
    ram = replace(host_memory(), nodes=nodes, swap_free_bytes=swapped.free_bytes)
    found: Found = find_devices(Where(ram), backends)
    return Inventory(Machine(found.devices, ram), found.unusable, found.problem, nodes, swapped)
