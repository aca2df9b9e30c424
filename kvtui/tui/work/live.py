"""One look at the memory in use now, made off the event loop."""

from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.ram import host_memory
from kvtui.tui.state import LiveMemory
from kvtui.tui.work.messages import LivePolled

_STEP = 32 * 2**20  # RAM moves all the time: shown in steps, so that a line changes only when it says something


def poll_live(devices: tuple[Device, ...]) -> LivePolled:
    """What is used on each device, and of RAM."""
    state = nvml.poll()
    by_pci = {g.pci_id: g for g in state.gpus}
    found = []
    for device in devices:
        gpu = by_pci.get(device.pci_id) if device.pci_id else None
        if gpu is None or gpu.used_bytes is None:
            found.append(LiveMemory(device.total_bytes - device.free_bytes, "N/A" if device.pci_id else ""))
            continue
        parts = [f"{gpu.utilization}%" if gpu.utilization is not None else "", f"{gpu.temperature}C" if gpu.temperature else ""]
        parts.append(f"{gpu.power:.0f}W" if gpu.power is not None else "")
        found.append(LiveMemory(gpu.used_bytes, " ".join(p for p in parts if p)))
    ram = host_memory()
    used = (ram.total_bytes - ram.free_bytes) // _STEP * _STEP
    return LivePolled(devices, (*found, LiveMemory(used)), state.problem or "")
