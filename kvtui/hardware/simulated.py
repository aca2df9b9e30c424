"""Devices and RAM that a person describes instead of having: --device and --ram."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from kvtui.base.findings import UsageError
from kvtui.base.sizes import mib, parse_bandwidth, parse_size
from kvtui.hardware.cards import expand_cards
from kvtui.hardware.device import Device, HostMemory, Machine

Amount = TypeVar("Amount", int, float)
_NAME = re.compile(r"^(?P<name>[A-Za-z]+[A-Za-z0-9_]*)(?:\[(?P<endpoint>[^\]]+)\])?$")


def _memory(text: str, what: str) -> tuple[int, int | None, float | None]:
    """(free, total, bandwidth) of `FREE[/TOTAL][@BANDWIDTH]`."""
    sizes, at, bandwidth = text.partition("@")
    free, slash, total = sizes.partition("/")
    try:
        free_bytes = parse_size(free)
        total_bytes = parse_size(total) if slash else None
        rate = parse_bandwidth(bandwidth) if at else None
    except UsageError as e:
        raise UsageError(f"{what}: {e}") from None
    if rate is not None and rate <= 0:
        raise UsageError(f"{what}: a bandwidth is more than 0")
    return free_bytes, total_bytes, rate


def _positive(parse: Callable[[str], Amount], text: str, what: str, otherwise: str) -> Amount:
    """An amount of more than 0; `otherwise`: what to say of one that is not."""
    try:
        found = parse(text)
    except UsageError as e:
        raise UsageError(f"{what}: {e}") from None
    if found <= 0:
        raise UsageError(f"{what}: {otherwise}")
    return found


def parse_device(text: str) -> Device:
    """`NAME=FREE[/TOTAL][@BANDWIDTH][,link=BANDWIDTH][,maxbuf=SIZE][,shared][,display]`, and
    `RPC0[host:port]=...`. Raises UsageError."""
    what = f"--device {text}"
    name, equals, rest = text.partition("=")
    match = _NAME.match(name)
    if not equals or match is None:
        raise UsageError(f"{what}: write it as NAME=FREE[/TOTAL][@BANDWIDTH], for example CUDA0=22.8GiB/24GiB@936GB/s")
    memory, *extras = rest.split(",")
    free, total, bandwidth = _memory(memory, what)
    if not free:
        raise UsageError(f"{what}: a device of 0 bytes can hold nothing: leave it out")
    link, largest, shared, display = None, None, False, False
    for extra in extras:
        key, _, value = extra.partition("=")
        if key == "link" and value:
            link = _positive(parse_bandwidth, value, what, "a link's bandwidth is more than 0")
        elif key == "maxbuf" and value:
            largest = _positive(parse_size, value, what, "a device whose largest buffer has 0 bytes can hold nothing")
        elif extra == "shared":
            shared = True
        elif extra == "display":
            display = True
        else:
            raise UsageError(f"{what}: {extra!r} is none of link=BANDWIDTH, maxbuf=SIZE, shared and display")
    return Device(
        name=match["name"],
        free_bytes=free,
        total_bytes=total if total is not None else free,
        bandwidth=bandwidth,
        bandwidth_source="given" if bandwidth else None,
        link=link,
        shared=shared,
        max_buffer_bytes=largest,
        endpoint=match["endpoint"],
        simulated=True,
        display=display,
    )


def parse_devices(texts: tuple[str, ...]) -> tuple[Device, ...]:
    """Several of them, or cards by name (`2x3090`); a name given twice is an error."""
    devices: tuple[Device, ...] = ()
    for text in texts:
        devices += (parse_device(text),) if "=" in text else expand_cards(text, devices)
    names = [d.name for d in devices]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"--device {twice}: given twice")
    if "CPU" in names:
        raise UsageError("--device CPU: host memory is --ram, not a device")
    return devices


def parse_ram(text: str) -> HostMemory:
    """`FREE[@BANDWIDTH]`. Raises UsageError."""
    free, total, bandwidth = _memory(text, f"--ram {text}")
    return HostMemory(
        free_bytes=free,
        total_bytes=total if total is not None else free,
        bandwidth=bandwidth,
        bandwidth_source="given" if bandwidth else None,
        simulated=True,
    )


def parse_margins(text: str | None, count: int, default: int) -> tuple[int, ...]:
    """`SIZE[,SIZE...]`, one for each of `count` devices; a single one holds for all. Raises UsageError."""
    if text is None:
        return (default,) * count
    sizes = tuple(parse_size(part) for part in text.split(","))
    if len(sizes) == 1:
        return sizes * count
    if len(sizes) != count:
        raise UsageError(f"--margin {text}: {len(sizes)} margins for {count} devices")
    return sizes


def with_display_margin(text: str | None, margins: tuple[int, ...], devices: Sequence[Device]) -> tuple[int, ...]:
    """`margins`, with the one of `text` on each device that a desktop is drawn on. Raises UsageError where there is none."""
    if text is None:
        return margins
    size = parse_size(text)
    if not any(d.display for d in devices):
        raise UsageError(f"--display-margin {text}: no device is known to draw a desktop here; --margin is for each device")
    found = tuple(size if d.display else m for d, m in zip(devices, margins, strict=True))
    too_small = next((d for d in devices if d.display and size > max(d.total_bytes, d.free_bytes)), None)
    if too_small is not None:
        has = f"{mib(size)} are more than {too_small.name} has ({mib(too_small.total_bytes)})"
        raise UsageError(f"--display-margin {text}: {has}")
    return found


def check_margins(text: str | None, margins: Sequence[int], devices: Sequence[Device]) -> None:
    """Refuses a margin that was given and is above its device's memory. Raises UsageError."""
    for device, margin in zip(devices, margins, strict=True) if text is not None else ():
        if margin > max(device.total_bytes, device.free_bytes):
            raise UsageError(f"--margin {text}: {mib(margin)} are more than {device.name} has ({mib(device.total_bytes)})")


def parse_ram_margin(text: str | None, ram: HostMemory, default: int) -> int:
    """Bytes to leave free in RAM; without `text` the default of RAM that was found, none of RAM that was described: a person
    who says what may be had has left out the rest. Raises UsageError."""
    if text is None:
        return 0 if ram.simulated else default
    margin = parse_size(text)
    if margin > ram.total_bytes:
        raise UsageError(f"--ram-margin {text}: {mib(margin)} are more than there is ({mib(ram.total_bytes)})")
    return margin


def refuse_simulated(machine: Machine) -> None:
    """Raises UsageError for a machine on which nothing can be measured."""
    simulated = next((d.name for d in machine.devices if d.simulated and not d.endpoint), None)
    if simulated is not None:
        raise UsageError(f"--device {simulated}: is simulated, and nothing can be measured on it")
