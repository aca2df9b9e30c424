"""One look at the memory in use now, made off the event loop."""

from datetime import datetime
from pathlib import Path

from kvtui.hardware import drm_use
from kvtui.hardware.device import Device
from kvtui.hardware.drm_use import DrmUse
from kvtui.hardware.holders import HeldNow, holders_of
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.nvidia.gpu import Gpu
from kvtui.hardware.ram import host_memory
from kvtui.hardware.root import ROOT
from kvtui.tasks.held_now import own_pids
from kvtui.tui.state import LiveMemory
from kvtui.tui.work.messages import LivePolled

_STEP = 32 * 2**20  # RAM moves all the time: shown in steps, so that a line changes only when it says something


def poll_live(devices: tuple[Device, ...], root: Path = ROOT) -> LivePolled:
    """What is used on each device, and of RAM. `root`: where /sys and /proc begin."""
    state = nvml.poll()
    uses, since = drm_use.poll(root) if any(d.slot for d in devices) else ({}, None)
    gpus = {g.pci_id: g for g in state.gpus if g.pci_id is not None}
    found = [_live(d, gpus.get(d.pci_id or ""), uses.get(d.slot or "")) for d in devices]
    ram = host_memory(root)
    used = (ram.total_bytes - ram.free_bytes) // _STEP * _STEP
    holders = tuple(holders_of(d, state.gpus, uses) for d in devices)
    held = HeldNow(state.driver, holders, own_pids() if any(holders) else frozenset())
    return LivePolled(devices, (*found, LiveMemory(used)), _problem(devices, state.problem, since), held)


def _problem(devices: tuple[Device, ...], nvidia: str | None, since: datetime | None) -> str:
    """What is wrong with a driver of these devices; why there are none."""
    if since is not None:
        return f"the graphics driver does not answer since {since:%H:%M}"
    return nvidia or "" if not devices or any(d.pci_id for d in devices) else ""


def _live(device: Device, gpu: Gpu | None, use: DrmUse | None) -> LiveMemory:
    if gpu is not None and gpu.used_bytes is not None:
        return LiveMemory(gpu.used_bytes, _note(gpu.utilization, gpu.temperature, gpu.power))
    if use is not None and use.used_bytes is not None:
        used = use.used_bytes + (use.mapped_bytes if device.shared else 0)
        return LiveMemory(used, _note(use.utilization, use.temperature, use.power))
    return LiveMemory(device.total_bytes - device.free_bytes, "N/A" if device.pci_id or device.slot else "")


def _note(percent: int | None, celsius: int | None, watt: float | None) -> str:
    parts = [f"{percent}%" if percent is not None else "", f"{celsius}C" if celsius else ""]
    parts.append(f"{watt:.0f}W" if watt is not None else "")
    return " ".join(p for p in parts if p)
