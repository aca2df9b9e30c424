"""What a vendor's way of asking takes and gives."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvtui.hardware.device import Device, HostMemory, Unusable
from kvtui.hardware.root import ROOT


@dataclass(frozen=True)
class Found:
    """Devices of a vendor in its back end's order, what is there and can't be planned for, and why there is nothing."""

    devices: tuple[Device, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Where:
    """The machine that is asked."""

    ram: HostMemory
    root: Path = ROOT  # where /proc and /sys begin
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    sysctl: Path | None = Path("/usr/sbin/sysctl") if sys.platform == "darwin" else None
