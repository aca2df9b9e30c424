"""NVIDIA GPUs as everybody else asks for them: a look that never hangs, and the devices it means."""

from collections.abc import Sequence
from functools import cache

from kvtui.hardware.cards import published
from kvtui.hardware.device import Device, HostMemory, Unusable
from kvtui.hardware.nvidia.gpu import Gpu, GpuProcess, NvmlState
from kvtui.hardware.nvidia.read import read_gpus
from kvtui.hardware.nvidia.reasons import NO_FIGURES
from kvtui.hardware.nvidia.watch import NOTHING, after, unanswered
from kvtui.hardware.watch import Watch

__all__ = ["Gpu", "GpuProcess", "NvmlState", "as_devices", "poll", "unusable"]

_TIMEOUT_SECONDS = 5.0  # a driver without persistence takes 1 to 3 seconds to wake


@cache
def _watch() -> "Watch[NvmlState]":
    """One for the program, as there is one driver: whoever asks while it hangs must not ask it again."""
    return Watch(lambda before: after(before, read_gpus), NOTHING)


def poll(timeout_seconds: float = _TIMEOUT_SECONDS) -> NvmlState:
    """One look at all GPUs. No driver is a normal state; one that hangs is a problem, with the GPUs last seen."""
    state, since = _watch().look(timeout_seconds)
    return state if since is None else unanswered(state, since)


def _shares_ram(gpu: Gpu) -> bool:
    """One pool with RAM, which is why NVML tells no memory of it (DGX Spark)."""
    card = published(gpu.name)
    return gpu.total_bytes is None and card is not None and card.shared


def _memory(gpu: Gpu, ram: HostMemory | None) -> tuple[int, int] | None:
    """(free, total) bytes: the GPU's own, or RAM's where they are one pool (ggml-cuda.cu,
    ggml_backend_cuda_device_get_memory reads MemAvailable there); None where nobody tells."""
    if gpu.total_bytes and gpu.free_bytes is not None:
        return gpu.free_bytes, gpu.total_bytes
    return (ram.free_bytes, ram.total_bytes) if ram is not None and _shares_ram(gpu) else None


def _device(name: str, gpu: Gpu, free_bytes: int, total_bytes: int) -> Device:
    card = published(gpu.name, gpu.total_bytes) if not gpu.is_mig else None
    bandwidth = gpu.bandwidth or (card.bandwidth if card else None)
    source = ("NVML" if gpu.bandwidth else "published") if bandwidth else None
    return Device(
        name=name,
        free_bytes=free_bytes,
        total_bytes=total_bytes,
        bandwidth=bandwidth,
        bandwidth_source=source,
        link=gpu.link,
        shared=_shares_ram(gpu),
        description=f"{gpu.name} ({gpu.note})" if gpu.note else gpu.name,
        pci_id=gpu.pci_id,
        compute_capability=gpu.compute_capability,
        flops=card.flops if card else None,
        peak_operations=card.peak_operations if card else None,
        display=gpu.display,
    )


def as_devices(gpus: Sequence[Gpu], ram: HostMemory | None = None, backend: str = "CUDA", first: int = 0) -> tuple[Device, ...]:
    """GPUs in CUDA's order (visible.visible) as CUDA0, CUDA1, ...; one without memory figures is left out, its number taken."""
    numbered = [(i, g, _memory(g, ram)) for i, g in enumerate(gpus)]
    return tuple(_device(f"{backend}{first + i}", g, *memory) for i, g, memory in numbered if memory is not None)


def unusable(
    gpus: Sequence[Gpu], seen: Sequence[Gpu], ram: HostMemory | None = None, backend: str = "CUDA", first: int = 0
) -> tuple[Unusable, ...]:
    """What `as_devices` leaves out of `gpus`, under its number, and what CUDA_VISIBLE_DEVICES or MIG's rule hides of `seen`."""
    without = [(f"{backend}{first + i}", g, g.problem or NO_FIGURES) for i, g in enumerate(gpus) if _memory(g, ram) is None]
    hidden = [("", g, g.problem or _hidden(g)) for g in seen if g not in gpus]
    return tuple(
        Unusable(
            name,
            g.name,
            reason,
            g.pci_id,
            hidden=not name and g.problem is None,
            well=g.problem in (None, NO_FIGURES) and not g.is_mig,
        )
        for name, g, reason in (*without, *hidden)
    )


def _hidden(gpu: Gpu) -> str:
    if gpu.is_mig:
        return f"a program sees one MIG instance: CUDA_VISIBLE_DEVICES={gpu.uuid} chooses this one"
    return "hidden by CUDA_VISIBLE_DEVICES"
