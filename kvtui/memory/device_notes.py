"""What a person should know of the devices a plan is for, and of those that it is not for."""

from kvtui.base.findings import Finding
from kvtui.hardware.device import Machine, Unusable
from kvtui.memory.remembered import remembered

ASSUMED, LEFT_OUT = "device-assumed", "device-left-out"


def device_notes(machine: Machine) -> list[Finding]:
    """Devices whose memory is remembered or whose name is assumed, and cards that can't be used."""
    return [
        *remembered(machine),
        *assumed(machine),
        *(Finding(LEFT_OUT, "note", f"{u.name or u.description} is not planned for: {u.reason}") for u in missed(machine)),
    ]


def missed(machine: Machine) -> tuple[Unusable, ...]:
    """Cards that a person may look for: not a part of the processor beside cards, nor what somebody hid."""
    return tuple(u for u in machine.unusable if not u.integrated and not u.hidden)


def assumed(machine: Machine) -> list[Finding]:
    """A note on devices that no llama-server named."""
    names = [d.name for d in machine.devices if d.assumed]
    if not names:
        return []
    what = f"{', '.join(names)}: by the usual back end of each card's maker, since no llama-server said how it calls them"
    return [Finding(ASSUMED, "note", f"{what}; --llama-server PATH asks one")]
