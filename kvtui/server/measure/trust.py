"""Whether a log's figures can be believed: nothing is learned from what cannot be, or contradicts the dry run."""

from collections.abc import Mapping

from kvtui.base.sizes import mib
from kvtui.server.log.breakdown import MIB, Breakdown, LoggedMemory, Parts

# A dry run's figures are whole MiB. Weights and caches of a load are the same to that rounding (2,951 devices of loads
# of llama-server b11434 on CUDA); compute buffers may differ.
ROUNDING_BYTES = 2 * MIB


def doubt(memory: LoggedMemory, said: Mapping[str, Parts]) -> str | None:
    """Why the log of a load is not to be believed; `said`: by the dry run of the same flags, {} where there is none."""
    if memory.foreign:
        return "text of the model stands among the server's own lines"
    for name, parts in memory.devices.items():
        if not parts.total:
            continue
        if name not in memory.free_bytes:
            return f"{name} is no device that it said it uses"
        if parts.total > memory.free_bytes[name]:
            return f"{name} would hold {mib(parts.total)} of {mib(memory.free_bytes[name])} that were free"
        dry = said.get(name)
        for part in ("model", "context") if dry is not None else ():
            one, other = getattr(parts, part), getattr(dry, part)
            if abs(one - other) > ROUNDING_BYTES:
                return f"{name} has {mib(one)} of {part}, {mib(other)} by the dry run"
    return None


def unannounced(table: Breakdown, memory: LoggedMemory) -> str | None:
    """Why a dry run's table is not the server's: a device that it never said it uses. (More than a device has is no
    reason: that is what a dry run is for.)"""
    strange = [name for name in table.devices if name not in memory.free_bytes]
    return f"{', '.join(strange)} is no device that it said it uses" if strange else None
