"""Intel's GPUs through what the i915 and xe drivers tell under /sys and /proc."""

from kvtui.hardware.cards import published
from kvtui.hardware.device import Device, Unusable
from kvtui.hardware.drm import DrmCard, cards, names, processes
from kvtui.hardware.found import Found, Where

_VENDOR = 0x8086
_INTEGRATED = "0000:00:02.0"  # where Intel's processors have their GPU
# Files that tell the size of a card's own memory, by driver (not every version has them).
_SIZES = ("tile0/physical_vram_size_bytes", "drm/{card}/lmem_total_bytes")


def find(where: Where, backend: str, first: int = 0) -> Found:
    """Intel's cards as devices of `backend`, from `first` on, in PCI order. Free is the card's size less what the processes
    that this user may look into hold."""
    devices: list[Device] = []
    unusable = []
    for card in cards(where.root, _VENDOR):
        sold = names(where.root, _VENDOR, card.device)
        description = "/".join(sold) or f"Intel GPU {card.device:04x}"
        if card.pci_id == _INTEGRATED:
            reason = "part of the processor: it shares RAM; --device NAME=FREE,shared plans for it"
            unusable.append(Unusable("", description, reason, slot=card.pci_id, integrated=True))
            continue
        size = _size(card)
        known = {c for name in sold if (c := published(name, size))}
        one = known.pop() if len(known) == 1 else None
        total = size or (one.total_bytes if one else None)
        if total is None:
            reason = f"the {card.driver or 'graphics'} driver does not tell its memory; --device NAME=FREE plans for it"
            unusable.append(Unusable("", description, reason, slot=card.pci_id))
            continue
        used = sum(p.used_bytes for p in processes(where.root, card.pci_id))
        devices.append(
            Device(
                name=f"{backend}{first + len(devices)}",
                free_bytes=max(total - used, 0),
                total_bytes=total,
                bandwidth=one.bandwidth if one else None,
                bandwidth_source="published" if one else None,
                link=card.link,
                description=one.name if one else description,
                peak_operations=one.peak_operations if one else None,
                display=card.display,
                slot=card.pci_id,
            )
        )
    return Found(tuple(devices), tuple(unusable))


def _size(card: DrmCard) -> int | None:
    """Bytes of the card's own memory, where its driver tells."""
    told = (card.number(name.format(card=card.folder.name)) for name in _SIZES)
    return next((size for size in told if size), None)
