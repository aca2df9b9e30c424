"""What fits: every device within free minus margin, the host within RAM, and a pool that both share counted once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvtui.base.sizes import mib
from kvtui.hardware.device import Machine

if TYPE_CHECKING:
    from kvtui.memory.amounts import Estimate

RAM = "RAM"


@dataclass(frozen=True)
class Lack:
    """`name` (a device, RAM, or the pool of several) has `n_bytes` less than the `used_bytes` it should hold. `members`: of a
    pool, who takes from it."""

    name: str
    n_bytes: int
    used_bytes: int
    members: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.name} lacks {mib(self.n_bytes)}"


def capacities(machine: Machine, margins: Sequence[int], excluded: Collection[str] = ()) -> tuple[int, ...]:
    """Bytes each device may hold: free minus margin, nothing on an excluded one. Free is the limit, whatever the total."""
    return tuple(
        0 if d.name in excluded else max(d.free_bytes - margin, 0) for d, margin in zip(machine.devices, margins, strict=True)
    )


def lacking(machine: Machine, limits: Sequence[int], memory: "Estimate", ram_limit: int | None = None) -> tuple[Lack, ...]:
    """Who lacks how much; () where everything fits. `limits`: bytes a device may hold (`capacities`); `ram_limit`: bytes RAM
    may hold, all that is free where it is None.

    Devices marked `shared` take from RAM: together with the host they hold at most the pool, which is what is free in RAM or
    on the one of them that sees more. What a device or RAM lacks by itself is not counted again there."""
    found = []
    for device, limit, use in zip(machine.devices, limits, memory.devices, strict=True):
        if use.used_bytes > limit:
            found.append(Lack(device.name, use.used_bytes - limit, use.used_bytes))
    host, free = memory.host.used_bytes, machine.ram.free_bytes if ram_limit is None else ram_limit
    if host > free:
        found.append(Lack(RAM, host - free, host))
    shared = {d.name for d in machine.devices if d.shared}
    if shared:
        pool = max(free, *(limit for d, limit in zip(machine.devices, limits, strict=True) if d.shared))
        used = host + sum(u.used_bytes for d, u in zip(machine.devices, memory.devices, strict=True) if d.shared)
        over = used - pool - sum(x.n_bytes for x in found if x.name == RAM or x.name in shared)
        if over > 0:
            members = frozenset(shared) | {RAM}
            found.append(Lack(f"the pool of RAM and {', '.join(sorted(shared))}", over, used, members))
    return tuple(found)


def spare_bytes(machine: Machine, limits: Sequence[int], memory: "Estimate", ram_limit: int | None = None) -> int:
    """Bytes left where least is left: on a device that holds anything, or in RAM; below 0, what lacks in all."""
    lacks = sum(x.n_bytes for x in lacking(machine, limits, memory, ram_limit))
    if lacks:
        return -lacks
    free = machine.ram.free_bytes if ram_limit is None else ram_limit
    left = [limit - use.used_bytes for limit, use in zip(limits, memory.devices, strict=True) if use.used_bytes]
    return min([*left, free - memory.host.used_bytes])
