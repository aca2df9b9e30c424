"""What if a card more, or one less: the machine of a request changed, and put back."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvtui.base.findings import UsageError
from kvtui.base.late import Late
from kvtui.hardware.device import DEFAULT_MARGIN_BYTES, Device
from kvtui.memory.corrections import NOTHING
from kvtui.placement.request import Request
from kvtui.tui.keys.changes import Change

if TYPE_CHECKING:
    from kvtui.hardware.cards import expand_cards
    from kvtui.hardware.found import Found
    from kvtui.placement.plan import Plan
else:  # not needed by the first screen
    expand_cards = Late("kvtui.hardware.cards", "expand_cards")

HERE = "the machine as it is"


@dataclass(frozen=True)
class Had:
    """The request on the machine that is here, and what it came to before anything was supposed."""

    request: Request
    plan: "Plan | None" = None
    max_context: int | None = None  # the largest that fits, of the pair then


def with_card(request: Request, name: str) -> Change:
    """One of these cards more, empty, behind the devices there are."""
    try:
        added = expand_cards(name, request.machine.devices)
    except UsageError as e:
        return Change(request, str(e))
    margins = request.margin_bytes
    margin = margins[0] if len(set(margins)) == 1 else DEFAULT_MARGIN_BYTES
    devices = (*request.machine.devices, *added)
    return Change(_on(request, devices, (*margins, *(margin for _ in added))))


def without_device(request: Request, name: str) -> Change:
    """One device less; the others keep their names, and pins to it go."""
    kept = [(d, m) for d, m in zip(request.machine.devices, request.margin_bytes, strict=True) if d.name != name]
    return Change(_on(request, tuple(d for d, _ in kept), tuple(m for _, m in kept)))


def has_devices(request: Request, found: "Found") -> bool:
    """Whether a request is for those cards under those names already."""
    return [_who(d) for d in request.machine.devices if not d.endpoint] == [_who(d) for d in found.devices]


def _who(device: Device) -> tuple[str, str | None, str | None]:
    return device.name, device.pci_id, device.slot


def with_found(request: Request, found: "Found") -> Request:
    """On what another llama-server finds in this machine; devices behind a network stay."""
    far = [(d, m) for d, m in zip(request.machine.devices, request.margin_bytes, strict=True) if d.endpoint]
    margin = request.margins[0] if len(set(request.margins)) == 1 else DEFAULT_MARGIN_BYTES
    devices, margins = (*(d for d, _ in far), *found.devices), (*(m for _, m in far), *(margin for _ in found.devices))
    there = replace(request, machine=replace(request.machine, unusable=found.unusable), order=())
    return _on(there, devices, margins)


def as_had(request: Request, had: Had) -> Request:
    """`request` on the machine that is here: its devices, their margins, and what was learned on them."""
    there = replace(_on(request, had.request.machine.devices, had.request.margins), machine=had.request.machine)
    return replace(there, learned=had.request.learned)


def _on(request: Request, devices: tuple[Device, ...], margins: tuple[int, ...]) -> Request:
    names = {"CPU", *(d.name for d in devices)}
    return replace(
        request,
        machine=replace(request.machine, devices=devices),
        margins=margins,
        pins=tuple(p for p in request.pins if p.device in names),
        excluded=tuple(e for e in request.excluded if e in names),
        preferred=request.preferred if request.preferred in names else None,
        learned=NOTHING,  # on other devices
    )
