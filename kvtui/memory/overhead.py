"""What a GPU holds that llama-server lists nowhere: measured ranges by card, until this machine has shown its own."""

import tomllib
from dataclasses import dataclass
from functools import cache

from kvtui.base.data import data_file
from kvtui.base.sizes import MIB
from kvtui.hardware.device import Device

_LISTED = ("CUDA", "ROCm")  # back ends whose contexts take device memory that is not in free before they are opened


@dataclass(frozen=True)
class CardOverhead:
    """MiB by measurement: `load`, once a model is loaded; `growth`, what a first long prompt added; least and most."""

    name: str
    load: tuple[int, int]
    growth: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Overhead:
    """Bytes of one device, and what they rest on."""

    load_bytes: int
    growth_bytes: int
    said: str


NONE = Overhead(0, 0, "")


@cache
def measured_cards() -> tuple[CardOverhead, ...]:
    """The table of data/overhead.toml."""
    data = tomllib.loads(data_file("overhead.toml").read_text())
    return tuple(CardOverhead(c["name"], tuple(c["load"]), tuple(c.get("growth", (0, 0)))) for c in data["card"])


def overhead_of(device: Device) -> Overhead:
    """The most that was measured on such a card; on a CUDA card that nobody measured, the middle of those that were."""
    if device.backend not in _LISTED:
        return NONE
    cards = measured_cards()
    card = next((c for c in cards if c.name.lower() in device.description.lower()), None)
    if card is not None:
        return Overhead(
            card.load[1] * MIB, card.growth[1] * MIB, f"measured on {card.name}: {card.load[0]} to {card.load[1]} MiB"
        )
    loads, growths = sorted(c.load[1] for c in cards), sorted(c.growth[1] for c in cards if c.growth[1])
    middle = loads[len(loads) // 2]
    said = f"not measured on this card; {loads[0]} to {loads[-1]} MiB on others, {middle} in the middle"
    return Overhead(middle * MIB, growths[len(growths) // 2] * MIB, said)
