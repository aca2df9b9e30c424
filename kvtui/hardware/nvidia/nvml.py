"""NVIDIA GPUs through nvidia-ml-py. Any field may be missing, a GPU may vanish: None, never an exception."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kvtui.hardware.device import Device

_DDR = 2  # transfers a memory clock
_PCIE_BYTES = {
    1: 0.25e9,
    2: 0.5e9,
    3: 0.985e9,
    4: 1.969e9,
    5: 3.938e9,
    6: 7.563e9,
}  # bytes a second a lane, by generation


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds GPU memory; `used_bytes` is None where the driver does not tell."""

    pid: int
    name: str
    used_bytes: int | None


@dataclass(frozen=True)
class Gpu:
    """One poll of one GPU; None for what it does not report."""

    index: int
    name: str
    uuid: str | None
    pci_id: str | None
    total_bytes: int | None
    free_bytes: int | None
    used_bytes: int | None
    utilization: int | None  # percent
    bandwidth: float | None  # bytes a second, from memory clock and bus width
    link: float | None  # bytes a second, from PCIe generation and width
    temperature: int | None  # Celsius
    power: float | None  # Watt
    processes: tuple[GpuProcess, ...] = ()
    compute_capability: int | None = None  # 86 for 8.6


@dataclass(frozen=True)
class NvmlState:
    """All GPUs of one poll. `problem`: why there are none, in plain words."""

    gpus: tuple[Gpu, ...]
    driver: str | None
    problem: str | None


def _ask(call: Callable[..., Any], *args: Any) -> Any:
    """The answer of one NVML call, or None."""
    import pynvml

    try:
        return call(*args)
    except (pynvml.NVMLError, AttributeError, OSError):
        return None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _processes(handle: Any) -> tuple[GpuProcess, ...]:
    import psutil
    import pynvml

    found = []
    for p in _ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or ():
        try:
            name = psutil.Process(p.pid).name()
        except psutil.Error:
            name = "?"
        found.append(GpuProcess(int(p.pid), name, p.usedGpuMemory))
    return tuple(found)


def _gpu(index: int) -> Gpu | None:
    import pynvml as nv

    handle = _ask(nv.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return None
    memory = _ask(nv.nvmlDeviceGetMemoryInfo, handle)
    pci = _ask(nv.nvmlDeviceGetPciInfo, handle)
    clock = _ask(nv.nvmlDeviceGetMaxClockInfo, handle, nv.NVML_CLOCK_MEM)  # MHz
    width = _ask(nv.nvmlDeviceGetMemoryBusWidth, handle)  # bits
    generation = _ask(nv.nvmlDeviceGetMaxPcieLinkGeneration, handle)
    lanes = _ask(nv.nvmlDeviceGetMaxPcieLinkWidth, handle)
    milliwatt = _ask(nv.nvmlDeviceGetPowerUsage, handle)
    rates = _ask(nv.nvmlDeviceGetUtilizationRates, handle)
    capability = _ask(nv.nvmlDeviceGetCudaComputeCapability, handle)  # (8, 6)
    return Gpu(
        index=index,
        name=_text(_ask(nv.nvmlDeviceGetName, handle)) or f"GPU {index}",
        uuid=_text(_ask(nv.nvmlDeviceGetUUID, handle)),
        pci_id=_text(pci.busId) if pci is not None else None,
        total_bytes=int(memory.total) if memory is not None else None,
        free_bytes=int(memory.free) if memory is not None else None,
        used_bytes=int(memory.used) if memory is not None else None,
        utilization=int(rates.gpu) if rates is not None else None,
        bandwidth=clock * 1e6 * _DDR * width / 8 if clock and width else None,
        link=_PCIE_BYTES[generation] * lanes if generation in _PCIE_BYTES and lanes else None,
        temperature=_ask(nv.nvmlDeviceGetTemperature, handle, nv.NVML_TEMPERATURE_GPU),
        power=milliwatt / 1000 if milliwatt is not None else None,
        processes=_processes(handle),
        compute_capability=capability[0] * 10 + capability[1] if capability else None,
    )


def poll() -> NvmlState:
    """One look at all GPUs. No driver is a normal state."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return NvmlState((), None, "no NVIDIA GPU here")
    except (pynvml.NVMLError, OSError) as e:
        return NvmlState((), None, f"the NVIDIA driver does not answer: {e}")
    try:
        count = _ask(pynvml.nvmlDeviceGetCount) or 0
        gpus = tuple(g for g in map(_gpu, range(count)) if g is not None)
        driver = _text(_ask(pynvml.nvmlSystemGetDriverVersion))
        return NvmlState(gpus, driver, None if gpus else "no NVIDIA GPU here")
    finally:
        _ask(pynvml.nvmlShutdown)


def as_devices(gpus: Sequence[Gpu]) -> tuple[Device, ...]:
    """GPUs in CUDA's order (visible.visible) as CUDA0, CUDA1, ...; one without memory figures is left out, its number taken."""
    return tuple(
        Device(
            name=f"CUDA{i}",
            free_bytes=g.free_bytes,
            total_bytes=g.total_bytes,
            bandwidth=g.bandwidth,
            bandwidth_source="NVML" if g.bandwidth else None,
            link=g.link,
            description=g.name,
            pci_id=g.pci_id,
            compute_capability=g.compute_capability,
        )
        for i, g in enumerate(gpus)
        if g.total_bytes and g.free_bytes is not None
    )
