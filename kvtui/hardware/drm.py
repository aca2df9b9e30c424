"""What Linux's graphics drivers tell under /sys and /proc, whichever vendor's they are."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.text import printable
from kvtui.hardware.pcie import generation_of, link_rate

# Where distributions keep the names of PCI devices.
_PCI_IDS = ("usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids")
_CARDS = "/dev/dri/"  # where a program opens a card, as card0 or renderD128
_CARD = re.compile(r"card\d+")
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# Memory of a card's own in fdinfo: amdgpu's vram, i915's local0, xe's vram0 (Documentation/gpu/drm-usage-stats.rst).
_HELD = re.compile(r"drm-(?:resident|memory)-(?:vram|local)\d*")


@dataclass(frozen=True)
class DrmCard:
    """One graphics device."""

    folder: Path  # /sys/class/drm/card0
    vendor: int  # PCI
    device: int  # PCI
    pci_id: str  # 0000:03:00.0
    driver: str  # amdgpu, i915, xe
    link: float | None  # bytes a second
    display: bool  # a screen that is on is plugged into it

    def text(self, name: str) -> str | None:
        """A file of its PCI device, without the end of line."""
        return _text(self.folder / "device" / name)

    def number(self, name: str) -> int | None:
        """A file of its PCI device that holds a number, hexadecimal ones too."""
        return _number(self.text(name))


@dataclass(frozen=True)
class DrmProcess:
    """A process that holds memory of a card."""

    pid: int
    name: str
    used_bytes: int


def _text(path: Path) -> str | None:
    try:
        return printable(path.read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    try:
        return int(text or "", 0)
    except ValueError:
        return None


def cards(root: Path, vendor: int) -> tuple[DrmCard, ...]:
    """The graphics devices of a PCI vendor, in PCI order."""
    found = []
    for folder in (root / "sys/class/drm").glob("card*"):
        device = folder / "device"
        if not _CARD.fullmatch(folder.name) or _number(_text(device / "vendor")) != vendor:
            continue  # card0-DP-1 is a socket
        facts = dict(line.partition("=")[::2] for line in _lines(device / "uevent"))
        lanes = _number(_text(device / "max_link_width"))
        link = link_rate(generation_of(_text(device / "max_link_speed") or ""), lanes)
        number = _number(_text(device / "device")) or 0
        sockets = (root / "sys/class/drm").glob(f"{folder.name}-*/enabled")
        display = any(_text(socket) == "enabled" for socket in sockets)
        found.append(DrmCard(folder, vendor, number, facts.get("PCI_SLOT_NAME", ""), facts.get("DRIVER", ""), link, display))
    return tuple(sorted(found, key=lambda card: card.pci_id))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def names(root: Path, vendor: int, device: int) -> tuple[str, ...]:
    """What cards of those PCI numbers are sold as: of `Navi 31 [Radeon RX 7900 XT/7900 XTX]` the two names; () if unknown."""
    for line in _of_vendor(root, vendor):
        if line.startswith(f"\t{device:04x}  "):
            name = line.strip()[6:]
            sold = name.partition("[")[2].rpartition("]")[0] or name
            return tuple(printable(part.strip()) for part in sold.split("/"))
    return ()


def _of_vendor(root: Path, vendor: int) -> Iterator[str]:
    """The lines of a vendor's devices."""
    lines = next((found for place in _PCI_IDS if (found := _lines(root / place))), [])
    inside = False
    for line in lines:
        if line[:1] not in ("\t", "#", ""):
            inside = line.startswith(f"{vendor:04x}  ")
        elif inside:
            yield line


def processes(root: Path, pci_id: str) -> tuple[DrmProcess, ...]:
    """Who holds memory of a card, largest first: of the processes this user may look into."""
    return all_processes(root).get(pci_id, ())


def all_processes(root: Path) -> dict[str, tuple[DrmProcess, ...]]:
    """The same of every card, by its PCI place. A client that several descriptors or processes share is counted once. Only what
    a process has open under /dev/dri is read: its other files, often thousands, are none of a card's."""
    held: dict[tuple[str, int], int] = {}
    clients: set[tuple[str, str]] = set()
    for path in sorted(_of_cards(root / "proc")):
        info = dict(line.partition(":")[::2] for line in _lines(path))
        card, client = info.get("drm-pdev", "").strip(), info.get("drm-client-id", "").strip()
        if not card or (card, client) in clients:
            continue
        clients.add((card, client))
        pid = int(path.parent.parent.name)
        # amdgpu tells both forms of the same memory
        used = max((_bytes(value) for key, value in info.items() if _HELD.fullmatch(key)), default=0)
        held[card, pid] = held.get((card, pid), 0) + used
    found: dict[str, list[DrmProcess]] = {}
    for (card, pid), used in held.items():
        if used:
            found.setdefault(card, []).append(DrmProcess(pid, _text(root / f"proc/{pid}/comm") or "?", used))
    return {card: tuple(sorted(of_it, key=lambda p: -p.used_bytes)) for card, of_it in found.items()}


def _of_cards(proc: Path) -> Iterator[Path]:
    """The fdinfo of descriptors that are a card's. Texts instead of paths: there may be ten thousand."""
    for process in filter(str.isdigit, _names(str(proc))):
        folder = f"{proc}/{process}/fd"
        yield from (Path(f"{folder}info/{n}") for n in _names(folder) if _link(f"{folder}/{n}").startswith(_CARDS))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it has ended, or is another user's
        return []


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _bytes(value: str) -> int:
    number, _, unit = value.strip().partition(" ")
    return int(number) * _UNITS.get(unit, 1) if number.isdecimal() else 0
