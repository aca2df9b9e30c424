"""Every vendor, a line each, and which of its devices llama-server will see."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from kvtui.hardware import amd, apple, intel
from kvtui.hardware.device import Device
from kvtui.hardware.found import Found, Unusable, Where
from kvtui.hardware.nvidia.find import find as find_nvidia


@dataclass(frozen=True)
class Vendor:
    """How a vendor's GPUs are asked for."""

    name: str
    backends: tuple[str, ...]  # of llama.cpp that drive them, the usual one first
    find: Callable[[Where, str, int], Found]  # where, back end, number of the first


VENDORS = (
    Vendor("NVIDIA", ("CUDA", "Vulkan"), find_nvidia),
    Vendor("AMD", ("ROCm", "Vulkan"), amd.find),
    Vendor("Intel", ("SYCL", "Vulkan"), intel.find),
    Vendor("Apple", ("MTL",), apple.find),
)


def find_devices(where: Where, backends: Collection[str] | None = None, vendors: Sequence[Vendor] = VENDORS) -> Found:
    """The devices of all vendors. `backends`: what the llama-server in use was built with; None where that is not known:
    then the first vendor with devices counts, through its usual back end, as most builds have one, and the others are
    told beside."""
    devices: list[Device] = []
    unusable: list[Unusable] = []
    problem = None
    for vendor in vendors:
        backend = vendor.backends[0] if backends is None else next((b for b in vendor.backends if b in backends), None)
        first = sum(d.backend == backend for d in devices)
        found = vendor.find(where, backend or vendor.backends[0], first)
        problem = problem or found.problem
        unusable += found.unusable
        if backend is None or (backends is None and devices):
            wants = " or ".join(vendor.backends)
            unusable += [Unusable("", d.description, f"needs a llama-server built with {wants}") for d in found.devices]
        else:
            devices += found.devices
    if not devices and problem is None:
        problem = "no GPU here that can be planned for" if unusable else "no GPU here"
    return Found(tuple(devices), tuple(unusable), problem)
