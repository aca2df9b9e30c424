"""What AMD's and Intel's cards hold and do right now, by the kernel's files; a driver that hangs freezes nobody."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from kvtui.hardware.drm import DrmCard, DrmProcess, all_processes, cards
from kvtui.hardware.root import ROOT
from kvtui.hardware.watch import Watch

_AMD, _INTEL = 0x1002, 0x8086  # PCI vendors
_TIMEOUT_SECONDS = 5.0  # a card that sleeps takes a second or two to wake
_PROCESSES_SECONDS = 5.0  # between two looks through all processes, which take milliseconds on a busy desktop
_MILLI, _MICRO = 1e3, 1e6  # hwmon: thousandths of a degree, millionths of a Watt (Documentation/hwmon/sysfs-interface.rst)
_POWER = ("power1_average", "power1_input")  # by kernel and card one or the other


@dataclass(frozen=True)
class DrmUse:
    """One look at a card; None for what it does not tell."""

    used_bytes: int | None  # of its own memory
    mapped_bytes: int = 0  # of RAM (amdgpu's GTT)
    utilization: int | None = None  # percent
    temperature: int | None = None  # Celsius
    power: float | None = None  # Watt
    processes: tuple[DrmProcess, ...] = ()  # of those that this user may look into


Uses = dict[str, DrmUse]  # by PCI place


@dataclass(frozen=True)
class Seen:
    """One look, and when the processes in it were looked through, by a clock that never goes back."""

    uses: Uses
    processes: Mapping[str, tuple[DrmProcess, ...]]
    looked: float


NOTHING = Seen({}, {}, float("-inf"))


def read_uses(root: Path, held: Mapping[str, tuple[DrmProcess, ...]]) -> Uses:
    """All cards of both vendors. `held`: by whom."""
    uses = {card.pci_id: _use_of_amd(card, held.get(card.pci_id, ())) for card in cards(root, _AMD)}
    for card in cards(root, _INTEL):
        found = held.get(card.pci_id, ())
        uses[card.pci_id] = DrmUse(sum(p.used_bytes for p in found), 0, None, *_sensors(card), found)
    return uses


def after(before: Seen, root: Path, now: float) -> Seen:
    """Figures each time; who holds them once in a few seconds."""
    if now - before.looked < _PROCESSES_SECONDS:
        return Seen(read_uses(root, before.processes), before.processes, before.looked)
    held = all_processes(root)
    return Seen(read_uses(root, held), held, now)


@cache
def _watch(root: Path) -> "Watch[Seen]":
    """One for the program: whoever asks while a driver hangs must not ask it again."""
    return Watch(lambda before: after(before, root, time.monotonic()), NOTHING)


def poll(root: Path = ROOT, timeout_seconds: float = _TIMEOUT_SECONDS) -> tuple[Uses, datetime | None]:
    """What the cards hold now, or last held and since when their drivers do not answer."""
    seen, since = _watch(root).look(timeout_seconds)
    return seen.uses, since


def _use_of_amd(card: DrmCard, found: tuple[DrmProcess, ...]) -> DrmUse:
    mapped = card.number("mem_info_gtt_used") or 0
    return DrmUse(card.number("mem_info_vram_used"), mapped, card.number("gpu_busy_percent"), *_sensors(card), found)


def _sensors(card: DrmCard) -> tuple[int | None, float | None]:
    """(Celsius, Watt) of its hwmon."""
    folder = next(iter(sorted((card.folder / "device/hwmon").glob("hwmon*"))), None)
    if folder is None:
        return None, None
    heat = card.number(f"hwmon/{folder.name}/temp1_input")
    power = next((p for name in _POWER if (p := card.number(f"hwmon/{folder.name}/{name}")) is not None), None)
    return None if heat is None else round(heat / _MILLI), None if power is None else power / _MICRO
