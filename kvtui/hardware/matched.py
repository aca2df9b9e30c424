"""The devices that a llama-server lists, and the cards that the vendors' own means found: which is which.

A server's words decide names and order; a driver's decide what is in use right now."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from kvtui.hardware.cards import is_one_card
from kvtui.hardware.device import Device, Unusable
from kvtui.hardware.found import Found
from kvtui.hardware.vendors import Look, Vendor, left_out, needs, told

_SAME_SIZE = 0.12  # what two drivers tell of one card's memory differs by up to this much (ECC, firmware, the loader's heaps)
_PLACE = re.compile(r"\b(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2})\.[0-7]\b", re.IGNORECASE)
NOT_LISTED = "the llama-server in use does not list it"
BESIDE_OTHERS = "part of the processor: llama-server leaves it out beside other cards"
_DIFFERENT, _BY_PLACE, _BY_NUMBER, _BY_NAME, _BY_MEMORY, _BY_VENDOR = -1, 0, 1, 2, 3, 4


@dataclass(frozen=True)
class _Card:
    """What a driver found: a device, or why it tells too little to be one. Neither: what only the server sees."""

    vendor: Vendor | None
    device: Device | None = None
    unusable: Unusable | None = None

    @property
    def name(self) -> str:
        """By the rule of its vendor's back end."""
        known = self.device or self.unusable
        return known.name if known else ""

    @property
    def description(self) -> str:
        """As the driver calls it."""
        known = self.device or self.unusable
        return known.description if known else ""

    @property
    def place(self) -> str:
        """Its PCI address; "" where nobody tells."""
        known = self.device or self.unusable
        return _place((known.pci_id or known.slot or "") if known else "")


def matched(looks: Sequence[Look], listed: Sequence[Device], backends: Collection[str]) -> Found:
    """`listed`, in its order, each with the figures of the card that it is. A card that two back ends list is the first of
    the two, as llama-server takes it (src/llama.cpp, llama_prepare_model_devices); one that is not listed can't be used."""
    cards = list(_cards(looks))
    of_card: dict[int, list[Device]] = {}
    for backend in dict.fromkeys(d.backend for d in listed):
        for device, i in _pairs([d for d in listed if d.backend == backend], cards):
            if i is None:
                cards.append(_Card(None, device))
                of_card[len(cards) - 1] = [device]
            else:
                of_card.setdefault(i, []).append(device)
    order = {d.name: at for at, d in enumerate(listed)}
    taken = sorted(of_card, key=lambda i: order[of_card[i][0].name])
    large = [i for i in taken if not _is_integrated(cards[i])]
    devices = [_as_listed(cards[i], of_card[i]) for i in (large or taken)]
    small = [i for i in taken if large and i not in large]
    beside = [replace(_unusable(cards[i]), name=of_card[i][0].name, reason=BESIDE_OTHERS) for i in small]
    silent = [_silent(card, backends) for i, card in enumerate(cards) if i not in of_card]
    return told(devices, (*beside, *silent), looks)


def _cards(looks: Sequence[Look]) -> Iterator[_Card]:
    for done in looks:
        yield from (_Card(done.vendor, device=d) for d in done.found.devices)
        yield from (_Card(done.vendor, unusable=u) for u in done.found.unusable)


def _pairs(listed: Sequence[Device], cards: Sequence[_Card]) -> list[tuple[Device, int | None]]:
    """Each of one back end's devices and its card, sure ones first: two cards are never one device."""
    found: dict[str, int] = {}  # by name: a card
    for level in (_BY_PLACE, _BY_NUMBER, _BY_NAME, _BY_MEMORY, _BY_VENDOR):
        for device in listed:
            if device.name in found:
                continue
            fitting = [i for i, card in enumerate(cards) if i not in found.values() and _likeness(device, card) == level]
            if fitting:
                found[device.name] = min(fitting, key=lambda i: (_apart(device, cards[i]), i))
    return [(device, found.get(device.name)) for device in listed]


def _likeness(listed: Device, card: _Card) -> int:
    """By what a listed device is known to be that card; _DIFFERENT if it can't be."""
    place = _place(listed.description)
    if place and card.place:
        return _BY_PLACE if place == card.place else _DIFFERENT
    if not _of_vendor(listed, card) or (card.unusable is not None and not card.unusable.well):
        return _DIFFERENT
    same = is_one_card(listed.description, card.description, listed.total_bytes)
    near = _is_near(listed, card.device) if card.device is not None else None
    if near is False:
        return _DIFFERENT
    if same:
        return _BY_NUMBER if card.vendor and card.name == listed.name and _numbers(card.vendor, listed) else _BY_NAME
    if card.vendor is None:
        return _DIFFERENT
    return _BY_MEMORY if near else _BY_VENDOR if near is None else _DIFFERENT


def _of_vendor(listed: Device, card: _Card) -> bool:
    """Whether its back end drives that vendor's cards, and its name is not another vendor's."""
    if card.vendor is None:
        return True
    text = listed.description.lower()
    words = any(word in text for word in card.vendor.words)
    return words or _numbers(card.vendor, listed)


def _numbers(vendor: Vendor, listed: Device) -> bool:
    """Whether its back end's numbers follow from the machine; Vulkan's are its loader's own."""
    return listed.backend == vendor.backends[0]


def _is_near(listed: Device, device: Device) -> bool | None:
    """Whether both have as much memory; None where one is a pool with RAM, of which each driver tells another share."""
    if device.shared:
        return None
    return abs(listed.total_bytes - device.total_bytes) <= _SAME_SIZE * device.total_bytes


def _apart(listed: Device, card: _Card) -> int:
    """How far two figures of free memory are apart, which tells cards of one kind from each other."""
    return abs(listed.free_bytes - card.device.free_bytes) if card.device is not None else 0


def _is_integrated(card: _Card) -> bool:
    return card.unusable is not None and card.unusable.integrated


def _as_listed(card: _Card, listed: Sequence[Device]) -> Device:
    """A card under the name that the server has for it. One whose driver tells no figures has the server's."""
    first, also = listed[0], tuple(d.name for d in listed[1:])
    if card.device is None:
        known = _unusable(card)
        return replace(first, also=also, pci_id=known.pci_id, slot=known.slot, shared=first.shared or known.integrated)
    return replace(card.device, name=first.name, also=also)


def _silent(card: _Card, backends: Collection[str]) -> Unusable:
    """A card that the server does not name, and why."""
    if card.device is None:
        return _unusable(card)
    has_none = card.vendor is not None and not set(card.vendor.backends) & set(backends)
    return left_out(card.device, needs(card.vendor) if has_none and card.vendor else NOT_LISTED)


def _unusable(card: _Card) -> Unusable:
    return card.unusable or Unusable("", card.description, NOT_LISTED)


def _place(text: str) -> str:
    """Domain, bus and device of a PCI address, alike for all its forms: domains are written with four digits, eight, or not."""
    found = _PLACE.search(text)
    return f"{int(found[1] or '0', 16):x}:{found[2].lower()}" if found else ""
