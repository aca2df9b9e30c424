"""Who holds memory of a card, whichever vendor's it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvtui.hardware.device import Device

if TYPE_CHECKING:
    from kvtui.hardware.drm_use import DrmUse
    from kvtui.hardware.nvidia.gpu import Gpu


@dataclass(frozen=True)
class Holder:
    """A process; `used_bytes` is None where its driver does not tell."""

    pid: int
    name: str
    used_bytes: int | None


def holders_of(device: Device, gpus: Iterable["Gpu"], uses: Mapping[str, "DrmUse"]) -> tuple[Holder, ...]:
    """The processes on a device, those that hold most first; () where nobody tells."""
    gpu = next((g for g in gpus if g.pci_id is not None and g.pci_id == device.pci_id), None)
    use = uses.get(device.slot or "")
    told = gpu.processes if gpu is not None else use.processes if use is not None else ()
    return tuple(sorted((Holder(p.pid, p.name, p.used_bytes) for p in told), key=lambda h: (-(h.used_bytes or 0), h.pid)))


@dataclass(frozen=True)
class HeldNow:
    """One look. `driver`: NVIDIA's version, None without one; `holders`: of each device; `ours`: pids of kvtui's servers."""

    driver: str | None = None
    holders: tuple[tuple[Holder, ...], ...] = ()
    ours: frozenset[int] = frozenset()

    def on(self, i: int) -> tuple[Holder, ...]:
        """The processes on device `i`."""
        return self.holders[i] if i < len(self.holders) else ()


NOBODY = HeldNow()
