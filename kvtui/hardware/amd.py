"""AMD's GPUs through what the amdgpu driver tells under /sys."""

from pathlib import Path

from kvtui.hardware.cards import Card, published
from kvtui.hardware.device import Device, Unusable
from kvtui.hardware.drm import DrmCard, cards, names
from kvtui.hardware.found import Found, Where
from kvtui.hardware.ram import table

_VENDOR = 0x1002
# Targets of GPUs inside a processor (LLVM, "User Guide for AMDGPU Backend", the APUs).
_APUS = frozenset({0x902, 0x90C, 0x1013, 0x1033, 0x1035, 0x1036, 0x1103, 0x1150, 0x1151, 0x1152, 0x1153})
_UNIFIED = 0x1151  # Strix Halo: the APU with memory wide enough to be worth planning for


def find(where: Where, backend: str, first: int = 0) -> Found:
    """AMD's GPUs as devices of `backend`, from `first` on, in PCI order."""
    devices: list[Device] = []
    unusable = []
    for card in cards(where.root, _VENDOR):
        target = _target(where.root, card)
        sold = names(where.root, _VENDOR, card.device)
        vram, gtt = _pool(card, "vram"), _pool(card, "gtt")
        description = card.text("product_name") or "/".join(sold) or f"AMD GPU {card.device:04x}"
        if vram is None:
            reason = "the amdgpu driver tells no memory figures" if card.driver == "amdgpu" else "its driver is not amdgpu"
            unusable.append(Unusable("", description, reason, slot=card.pci_id))
            continue
        if target in _APUS and target != _UNIFIED:
            reason = "part of the processor: it shares RAM; --device NAME=FREE,shared plans for it"
            unusable.append(Unusable("", description, reason, slot=card.pci_id, integrated=True))
            continue
        shared = target == _UNIFIED
        known = _known((*sold, description), vram[1] + gtt[1] if shared and gtt else vram[1], target)
        free, total = (vram[0] + gtt[0], vram[1] + gtt[1]) if shared and gtt else vram
        devices.append(
            Device(
                name=f"{backend}{first + len(devices)}",
                free_bytes=free,
                total_bytes=total,
                bandwidth=known.bandwidth if known else None,
                bandwidth_source="published" if known else None,
                link=None if shared else card.link,
                shared=shared,
                description=known.name if known else description,
                compute_capability=target,
                flops=known.flops if known else None,
                peak_operations=known.peak_operations if known else None,
                display=card.display,
                slot=card.pci_id,
            )
        )
    return Found(tuple(devices), tuple(unusable))


def _pool(card: DrmCard, pool: str) -> tuple[int, int] | None:
    """(free, total) bytes of the card's own memory (vram) or of RAM it may map (gtt)."""
    total, used = card.number(f"mem_info_{pool}_total"), card.number(f"mem_info_{pool}_used")
    return (max(total - (used or 0), 0), total) if total else None


def _known(sold: tuple[str, ...], total_bytes: int, target: int | None) -> Card | None:
    """The published card among the names one PCI number stands for: the one with that much memory, that target."""
    if target == _UNIFIED:
        return published("Strix Halo", total_bytes) or published("Strix Halo")
    found = {card for name in sold if (card := published(name, total_bytes)) and target in (None, card.compute_capability)}
    return found.pop() if len(found) == 1 else None


def _target(root: Path, card: DrmCard) -> int | None:
    """gfx1100 as 0x1100, from the compute driver's list of nodes (amdkfd, `gfx_target_version` 110000)."""
    for node in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
        facts = table(node)
        domain, bus = facts.get("domain", 0), facts.get("location_id", -1)
        place = f"{domain:04x}:{bus >> 8:02x}:{bus >> 3 & 31:02x}.{bus & 7}"
        version = facts.get("gfx_target_version", 0)
        if version and place == card.pci_id:
            return int(f"{version // 10000}{version // 100 % 100:x}{version % 100:x}", 16)
    return None
