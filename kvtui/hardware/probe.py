"""What this machine has."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from kvtui.hardware.device import HostMemory, Machine, NumaNode
from kvtui.hardware.found import Found, Where
from kvtui.hardware.numa import Swap, numa_nodes, swap
from kvtui.hardware.ram import host_memory
from kvtui.hardware.vendors import Look, look


@dataclass(frozen=True)
class Inventory:
    """The machine to plan for, and what a person should know of the rest of it."""

    machine: Machine
    problem: str | None  # why there are no devices, or why their figures are old
    nodes: tuple[NumaNode, ...]
    swap: Swap


@dataclass(frozen=True)
class Seen:
    """What the vendors' own means and the kernel tell, before a llama-server says which of it it sees."""

    looks: tuple[Look, ...]
    ram: HostMemory
    swap: Swap

    def with_devices(self, found: Found) -> Inventory:
        """All of it, with those devices."""
        return Inventory(Machine(found.devices, self.ram, found.unusable), found.problem, self.ram.nodes, self.swap)


def find_all(backends: Collection[str] | None = None, where: Where | None = None) -> Seen:
    """Each vendor asked once. `backends`: of the llama-server in use, None where none is known; `where`: the machine asked."""
    nodes, swapped = numa_nodes(), swap()
    ram = replace(host_memory(), nodes=nodes, swap_free_bytes=swapped.free_bytes)
    return Seen(look(where or Where(ram), backends), ram, swapped)
