"""Devices as `llama-server --list-devices` prints them: the way to every vendor without a file of its own here."""

import re
from dataclasses import replace

from kvtui.base.sizes import MIB
from kvtui.base.text import printable
from kvtui.hardware.cards import published
from kvtui.hardware.device import Device

# common/arg.cpp, the handler of --list-devices: "  %s: %s (%zu MiB, %zu MiB free)"
LISTING = "Available devices:"
_LINE = re.compile(r"^\s+(?P<name>\S+): (?P<description>.*) \((?P<total>\d{1,12}) MiB, (?P<free>\d{1,12}) MiB free\)\s*$")


def parse_list_devices(text: str) -> tuple[Device, ...]:
    """The devices of that output, in llama.cpp's order; other lines are passed over. Both figures as printed: a
    pool shared with RAM may have more free than its total says."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        total, free = (int(match[which]) * MIB for which in ("total", "free"))
        found.append(Device(printable(match["name"]), free, total, description=printable(match["description"])))
    return tuple(found)


def with_published(device: Device) -> Device:
    """A listed device with the published figures of its card, where its description names one: Vulkan's has the driver's
    name for it in brackets behind the card's."""
    names = (device.description, device.description.partition(" (")[0])
    card = next((c for name in names if (c := published(name, device.total_bytes))), None)
    if card is None:
        return device
    return replace(
        device,
        bandwidth=card.bandwidth,
        bandwidth_source="published",
        link=card.link,
        shared=card.shared,
        compute_capability=card.compute_capability,
        flops=card.flops,
        peak_operations=card.peak_operations,
    )
