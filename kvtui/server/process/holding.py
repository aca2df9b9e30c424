"""Who holds memory right now: our server on each device and in RAM, and everybody else."""

from collections.abc import Iterable, Mapping, Sequence

from kvtui.hardware.device import Device
from kvtui.hardware.nvidia.nvml import Gpu

RAM = "RAM"
_MOST_HOLDERS = 3


def held_by(pid: int, devices: Sequence[Device], gpus: Iterable[Gpu]) -> dict[str, int]:
    """Bytes that a process has: resident memory as "RAM", and on each device what NVML tells of it. Empty if it is
    gone; a device that tells nothing is left out."""
    import psutil

    held: dict[str, int] = {}
    by_pci: dict[str | None, Gpu] = {g.pci_id: g for g in gpus if g.pci_id}
    for device in devices:
        gpu = by_pci.get(device.pci_id)
        for process in gpu.processes if gpu else ():
            if process.pid == pid and process.used_bytes is not None:
                held[device.name] = held.get(device.name, 0) + process.used_bytes
    try:
        held[RAM] = int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return {}
    return held


def own_by(pid: int, devices: Sequence[Device], gpus: Iterable[Gpu]) -> dict[str, int]:
    """The same with RAM without mapped files, which come and go with what others need; no RAM where that is not told."""
    import psutil

    held = held_by(pid, devices, gpus)
    held.pop(RAM, None)
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return {}
    shared = getattr(memory, "shared", None)  # Linux: proc(5), statm
    return held if shared is None else {**held, RAM: int(memory.rss - shared)}


def holders(device: Device, gpus: Iterable[Gpu]) -> tuple[tuple[str, int, int], ...]:
    """(name, pid, bytes) of the processes that hold most of a device; () where the driver does not tell."""
    gpu = next((g for g in gpus if g.pci_id and g.pci_id == device.pci_id), None)
    found = [(p.name, p.pid, p.used_bytes) for p in (gpu.processes if gpu else ()) if p.used_bytes]
    return tuple(sorted(found, key=lambda h: -h[2])[:_MOST_HOLDERS])


def ram_holders() -> tuple[tuple[str, int, int], ...]:
    """(name, pid, resident bytes) of the processes that hold most RAM."""
    import psutil

    found = []
    for process in psutil.process_iter(["name", "pid", "memory_info"]):
        memory = process.info["memory_info"]
        if memory is not None:
            found.append((str(process.info["name"] or "?"), int(process.info["pid"]), int(memory.rss)))
    return tuple(sorted(found, key=lambda h: -h[2])[:_MOST_HOLDERS])


def overheads(listed: Mapping[str, int], held: Mapping[str, int]) -> dict[str, int]:
    """What a device holds beyond what the log lists; RAM has no such figure (mapped files come and go)."""
    return {name: max(n_bytes - listed[name], 0) for name, n_bytes in held.items() if name != RAM and name in listed}
