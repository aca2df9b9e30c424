"""The plain value every other part knows a device by."""

from dataclasses import dataclass

from kvtui.hardware.backends import backend_of

CPU = -1  # host memory, in place of an index into Machine.devices
DEFAULT_MARGIN_BYTES = 1024 * 2**20  # common/fit.cpp: fit's target is 1024 MiB a device


def column(place: int, places: int) -> int:
    """Where a device, or CPU, stands in a row of so many places: RAM is the last."""
    return places - 1 if place == CPU else place


@dataclass(frozen=True)
class Device:
    """A device as llama-server sees it, in llama.cpp's order. Bytes; bandwidths in bytes a second."""

    name: str  # CUDA0, RPC1, ...
    free_bytes: int
    total_bytes: int
    bandwidth: float | None = None
    link: float | None = None  # PCIe or network bytes a second to the host
    shared: bool = False  # one pool with RAM, counted once
    max_buffer_bytes: int | None = None  # the largest single buffer (Vulkan: maxBufferSize); None: as large as its memory
    endpoint: str | None = None  # host:port of a real RPC device
    description: str = ""  # "NVIDIA GeForce RTX 3090"
    pci_id: str | None = None  # by NVML
    slot: str | None = None  # its place under /sys, 0000:03:00.0, where the kernel tells what it holds
    bandwidth_source: str | None = None  # NVML, published, preset, given
    simulated: bool = False
    display: bool = False  # a desktop is drawn on it
    flops: float | None = None  # f32 operations a second of its shaders, as published
    peak_operations: float | None = None  # a second, of its matrix units, as published: what no program exceeds
    seen_at: float | None = None  # where it cannot be asked now: of when its memory is, in seconds since the epoch
    compute_capability: int | None = None  # CUDA: 86 for 8.6; ROCm: 0x1100 for gfx1100
    also: tuple[str, ...] = ()  # names under which other back ends of the llama-server list the same card
    assumed: bool = False  # its name is by the usual back end of its vendor: no llama-server said how it calls it

    @property
    def backend(self) -> str:
        """The back end by the name's prefix; "" for an unknown one."""
        return backend_of(self.name).name


@dataclass(frozen=True)
class NumaNode:
    """A part of RAM that is near to some CPUs. Free counts file cache, which the kernel gives back."""

    number: int
    free_bytes: int
    total_bytes: int
    has_cpus: bool  # False: memory alone (CXL, or a GPU's own memory seen by the CPU)


@dataclass(frozen=True)
class HostMemory:
    """RAM of the machine that runs llama-server. `free_bytes` counts file cache, which the kernel gives back."""

    free_bytes: int
    total_bytes: int
    bandwidth: float | None = None
    bandwidth_source: str | None = None  # preset, given, measured here
    simulated: bool = False
    file_cache_bytes: int = 0  # of the free ones
    nodes: tuple[NumaNode, ...] = ()  # where the kernel tells them
    swap_free_bytes: int = 0


@dataclass(frozen=True)
class Unusable:
    """Shown beside the devices, never planned for."""

    name: str  # CUDA1: the number it keeps; "" where it has none
    description: str  # NVIDIA GeForce RTX 3090
    reason: str  # in plain words
    pci_id: str | None = None  # by NVML
    slot: str | None = None  # as Device's
    integrated: bool = False  # a part of the processor, which shares RAM
    hidden: bool = False  # by a person's own choice
    well: bool = True  # a llama-server may see it; False: it is lost, or its driver is at odds with it


@dataclass(frozen=True)
class Machine:
    """Devices in llama.cpp's order, RAM, and what is there besides."""

    devices: tuple[Device, ...]
    ram: HostMemory
    unusable: tuple[Unusable, ...] = ()
