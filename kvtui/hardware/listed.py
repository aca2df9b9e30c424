"""Devices as `llama-server --list-devices` prints them: the way to every vendor without a file of its own here."""

import re

from kvtui.base.text import printable
from kvtui.hardware.device import Device

# common/arg.cpp, the handler of --list-devices: "  %s: %s (%zu MiB, %zu MiB free)"
_LINE = re.compile(r"^  (?P<name>\S+): (?P<description>.*) \((?P<total>\d{1,12}) MiB, (?P<free>\d{1,12}) MiB free\)\s*$")


def parse_list_devices(text: str) -> tuple[Device, ...]:
    """The devices of that output, in llama.cpp's order; other lines are passed over. Free is never above total."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        total = int(match["total"]) * 2**20
        free = min(int(match["free"]) * 2**20, total)
        found.append(Device(printable(match["name"]), free, total, description=printable(match["description"])))
    return tuple(found)
