"""RAM's bandwidth as it was measured here: once, kept for this machine, and measured again where a person asks."""

import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.stored import Kept
from kvtui.hardware.device import HostMemory
from kvtui.hardware.ram_speed import MEASURED_HERE, read_bandwidth, usable_cpus

FILE = "ram-speed.json"
CALLED_OFF = "RAM's bandwidth cannot be told from its caches': there is too little free memory, or the CPUs are busy; try again"


@dataclass(frozen=True)
class RamSpeed:
    """A measurement and the machine it is of. `bandwidth`: bytes a second; `at`: seconds since the epoch."""

    cpu: str
    cpus: int
    ram_bytes: int
    bandwidth: float
    at: float

    def is_of(self, ram: HostMemory) -> bool:
        """Whether it was measured on the machine that has `ram`."""
        return (self.cpu, self.cpus, self.ram_bytes) == (_cpu(), usable_cpus(), ram.total_bytes)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _ram_speed(fields: Fields) -> RamSpeed:
    found = RamSpeed(
        fields.text("cpu"), fields.whole("cpus"), fields.whole("ram_bytes"), fields.number("bandwidth"), fields.number("at")
    )
    if found.bandwidth <= 0:
        raise ValueError("bandwidth is not more than 0")
    return found


_KEPT = Kept(1, _ram_speed, asdict, limit_bytes=1 << 16)


def with_kept_speed(ram: HostMemory, state: Path | None = None) -> HostMemory:
    """`ram` with what was measured on this machine; as it is where nothing was, where it is described, or has a figure."""
    if ram.simulated or ram.bandwidth is not None:
        return ram
    kept = _KEPT.load((state or state_folder()) / FILE)
    return ram if kept is None or not kept.is_of(ram) else _measured(ram, kept.bandwidth)


def measure_ram(ram: HostMemory, state: Path | None = None) -> HostMemory | None:
    """`ram` with its bandwidth measured now, which takes a second, and kept; None where it cannot be told now."""
    bandwidth = read_bandwidth()
    if bandwidth is None:
        return None
    keep_speed(ram, bandwidth, state)
    return _measured(ram, bandwidth)


def keep_speed(ram: HostMemory, bandwidth: float, state: Path | None = None) -> None:
    """Remember what was measured on the machine that has `ram`."""
    found = RamSpeed(_cpu(), usable_cpus(), ram.total_bytes, bandwidth, time.time())
    _KEPT.save_if_possible((state or state_folder()) / FILE, found)


def _measured(ram: HostMemory, bandwidth: float) -> HostMemory:
    return replace(ram, bandwidth=bandwidth, bandwidth_source=MEASURED_HERE)
