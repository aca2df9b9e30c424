"""Every vendor, a line each, and which of its devices llama-server will see."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from kvtui.hardware import amd, apple, intel
from kvtui.hardware.device import Device, Unusable
from kvtui.hardware.found import Found, Where
from kvtui.hardware.nvidia.find import find as find_nvidia


@dataclass(frozen=True)
class Vendor:
    """How a vendor's GPUs are asked for."""

    name: str
    backends: tuple[str, ...]  # of llama.cpp that drive them, the usual one first
    find: Callable[[Where, str, int], Found]  # where, back end, number of the first
    words: tuple[str, ...] = ()  # in its cards' names, small letters


VENDORS = (
    Vendor("NVIDIA", ("CUDA", "Vulkan"), find_nvidia, ("nvidia", "geforce", "quadro", "tesla")),
    Vendor("AMD", ("ROCm", "Vulkan"), amd.find, ("amd", "radeon")),
    Vendor("Intel", ("SYCL", "Vulkan"), intel.find, ("intel",)),
    Vendor("Apple", ("MTL",), apple.find, ("apple",)),
)


@dataclass(frozen=True)
class Look:
    """What a vendor's own means found. `backend`: through which its cards are named by rule; None: the server has none."""

    vendor: Vendor
    backend: str | None
    found: Found

    @property
    def is_there(self) -> bool:
        """Whether it has a card here that could be planned for."""
        return bool(self.found.devices) or any(not u.integrated for u in self.found.unusable)


def look(where: Where, backends: Collection[str] | None = None, vendors: Sequence[Vendor] = VENDORS) -> tuple[Look, ...]:
    """Each vendor asked once. `backends`: what the llama-server in use was built with; None where none is known, and each
    vendor's usual one is assumed."""
    looks: list[Look] = []
    for vendor in vendors:
        usable = vendor.backends[:1] if backends is None else tuple(b for b in vendor.backends if b in backends)
        backend = next(iter(usable), None)
        first = sum(len(done.found.devices) for done in looks if done.backend == backend is not None)
        looks.append(Look(vendor, backend, vendor.find(where, backend or vendor.backends[0], first)))
    return tuple(looks)


def is_mixed(looks: Sequence[Look]) -> bool:
    """Whether cards of more than one vendor are here."""
    return sum(done.is_there for done in looks) > 1


def by_rule(looks: Sequence[Look], assumed: bool = False) -> Found:
    """The devices as their back ends number them. `assumed`: no server said that it has those."""
    devices: list[Device] = []
    unusable: list[Unusable] = []
    for done in looks:
        unusable += done.found.unusable
        if done.backend is None:
            unusable += [left_out(d, needs(done.vendor)) for d in done.found.devices]
        else:
            devices += [replace(d, assumed=True) for d in done.found.devices] if assumed else done.found.devices
    return told(devices, unusable, looks)


def told(devices: Sequence[Device], unusable: Sequence[Unusable], looks: Sequence[Look]) -> Found:
    """All of it, and why there is nothing, or what is wrong with a driver."""
    problem = next((done.found.problem for done in looks if done.found.problem), None)
    if not devices and problem is None:
        problem = "no GPU here that can be planned for" if unusable else "no GPU here"
    return Found(tuple(devices), tuple(unusable), problem)


def left_out(device: Device, reason: str) -> Unusable:
    """A card that the server cannot use."""
    return Unusable("", device.description, reason, device.pci_id, device.slot)


def needs(vendor: Vendor) -> str:
    """Why a server has no use for a vendor's cards."""
    return f"needs a llama-server built with {' or '.join(vendor.backends)}"
