"""One look at every GPU through nvidia-ml-py. It may hang where the driver does: watch.Watch calls it."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvtui.hardware.nvidia.gpu import Gpu, GpuProcess, NvmlState
from kvtui.hardware.nvidia.reasons import NO_GPU, in_words
from kvtui.hardware.pcie import link_rate

_DDR = 2  # transfers a memory clock
_MIG_ON = 1  # NVML_DEVICE_MIG_ENABLE
_IS_VGPU = 2  # NVML_GPU_VIRTUALIZATION_MODE_VGPU


def _try(call: Callable[..., Any], *args: Any) -> tuple[Any, str | None]:
    """The answer of one NVML call, or None and why."""
    import pynvml

    try:
        return call(*args), None
    except (pynvml.NVMLError, AttributeError, OSError) as e:
        return None, in_words(e)


def _ask(call: Callable[..., Any], *args: Any) -> Any:
    """The answer of one NVML call, or None."""
    return _try(call, *args)[0]


_COMM = 15  # characters that the kernel keeps of a name (include/linux/sched.h, TASK_COMM_LEN less its end)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _process_name(pid: int) -> str:
    """By the system, or by the driver where the process is of another container."""
    with contextlib.suppress(OSError):  # where there is no /proc, or no such process
        short = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
        if 0 < len(short) < _COMM:
            return short
    import psutil  # late: 7 ms of a start, for names that the kernel cuts
    import pynvml

    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        path = _text(_ask(pynvml.nvmlSystemGetProcessName, pid))
        return path.rpartition("/")[2] if path else "?"


def _processes(handle: Any) -> tuple[tuple[GpuProcess, ...], str | None]:
    """Who holds memory, a process once even if it computes and draws; and why nobody is told."""
    import pynvml

    computing, why = _try(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    drawing = _ask(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle)
    held: dict[int, int | None] = {}
    for p in (*(computing or ()), *(drawing or ())):
        held[int(p.pid)] = max(held.get(int(p.pid)) or 0, p.usedGpuMemory or 0) or None
    return tuple(GpuProcess(pid, _process_name(pid), used) for pid, used in held.items()), why


def _figures(index: int, handle: Any) -> Gpu:
    """What a handle, of a GPU or a MIG instance, tells."""
    import pynvml as nv

    memory, problem = _try(nv.nvmlDeviceGetMemoryInfo, handle)
    pci = _ask(nv.nvmlDeviceGetPciInfo, handle)
    clock = _ask(nv.nvmlDeviceGetMaxClockInfo, handle, nv.NVML_CLOCK_MEM)  # MHz
    width = _ask(nv.nvmlDeviceGetMemoryBusWidth, handle)  # bits
    milliwatt = _ask(nv.nvmlDeviceGetPowerUsage, handle)
    rates = _ask(nv.nvmlDeviceGetUtilizationRates, handle)
    capability = _ask(nv.nvmlDeviceGetCudaComputeCapability, handle)  # (8, 6)
    processes, hidden = _processes(handle)
    virtual = _ask(nv.nvmlDeviceGetVirtualizationMode, handle) == _IS_VGPU
    notes = ["vGPU: its memory is this machine's share of the card"] if virtual else []
    notes += [f"processes are not told: {hidden}"] if hidden and memory is not None else []
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
        link=link_rate(_ask(nv.nvmlDeviceGetMaxPcieLinkGeneration, handle), _ask(nv.nvmlDeviceGetMaxPcieLinkWidth, handle)),
        temperature=_ask(nv.nvmlDeviceGetTemperature, handle, nv.NVML_TEMPERATURE_GPU),
        power=milliwatt / 1000 if milliwatt is not None else None,
        processes=processes,
        compute_capability=capability[0] * 10 + capability[1] if capability else None,
        problem=problem,
        note="; ".join(notes) or None,
        display=_ask(nv.nvmlDeviceGetDisplayActive, handle) == nv.NVML_FEATURE_ENABLED,
    )


def _instances(parent: Gpu, handle: Any) -> tuple[Gpu, ...]:
    """The MIG instances of a GPU whose MIG mode is on, in its place; itself with a problem where there are none."""
    import pynvml as nv

    found = []
    for i in range(_ask(nv.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _ask(nv.nvmlDeviceGetMigDeviceHandleByIndex, handle, i)
        if part is None:
            continue
        own = _figures(parent.index, part)
        # Slices of memory and of its bandwidth go together (NVIDIA MIG User Guide, "GPU Slice").
        share = own.total_bytes / parent.total_bytes if own.total_bytes and parent.total_bytes else None
        found.append(
            replace(
                own,
                pci_id=f"{parent.pci_id or ''}/{own.uuid or i}",
                bandwidth=parent.bandwidth * share if parent.bandwidth and share else None,
                link=parent.link,
                compute_capability=own.compute_capability or parent.compute_capability,
                is_mig=True,
            )
        )
    return tuple(found) or (replace(parent, problem="MIG is on and no instance was made"),)


def _gpu(index: int) -> tuple[Gpu, ...]:
    """One GPU, or its MIG instances. A lost one is a row as well."""
    import pynvml as nv

    handle, problem = _try(nv.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return (Gpu(index, f"GPU {index}", problem=problem),)
    gpu = _figures(index, handle)
    mode = _ask(nv.nvmlDeviceGetMigMode, handle)
    return _instances(gpu, handle) if mode and mode[0] == _MIG_ON else (gpu,)


def read_gpus() -> NvmlState:
    """One look at all GPUs. No driver is a normal state. Never an exception; no return while the driver hangs."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError) as e:
        return NvmlState((), None, in_words(e))
    try:
        count, why = _try(pynvml.nvmlDeviceGetCount)
        gpus = tuple(gpu for i in range(count or 0) for gpu in _gpu(i))
        driver = _text(_ask(pynvml.nvmlSystemGetDriverVersion))
        return NvmlState(gpus, driver, None if gpus else why or NO_GPU)
    finally:
        _ask(pynvml.nvmlShutdown)
