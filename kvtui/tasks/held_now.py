"""Who is on this machine's cards, by name, and which of them kvtui launched."""

from collections.abc import Sequence
from pathlib import Path

from kvtui.hardware import drm_use
from kvtui.hardware.device import Device
from kvtui.hardware.holders import HeldNow, holders_of
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.root import ROOT
from kvtui.server.process.record import records
from kvtui.server.program.marks import process_identity


def own_pids() -> frozenset[int]:
    """Servers that a kvtui of this user launched and that live."""
    kept = (r for r in records() if r.ended is None and r.pid)
    return frozenset(r.pid for r in kept if process_identity(r.pid) == r.identity)


def held_now(devices: Sequence[Device], root: Path = ROOT) -> HeldNow:
    """Asks the drivers; one that hangs is answered for with what it said last. `root`: where /sys and /proc begin."""
    state = nvml.poll()
    uses = drm_use.poll(root)[0] if any(d.slot for d in devices) else {}
    return HeldNow(state.driver, tuple(holders_of(d, state.gpus, uses) for d in devices), own_pids())
