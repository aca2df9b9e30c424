"""Exact flags that do not fit: the change that is told is applied here, and must make them fit."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kvtui.base.build import DEFAULT_BUILD
from kvtui.base.findings import DOES_NOT_FIT
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.described import Described, describe_flags
from kvtui.memory.flag_changes import NCMOE
from kvtui.model.load import model_from_header

MARGIN = 1024 * 2**20
MOE, DENSE = "qwen3-30b-a3b-q4_k_m", "llama-3.1-8b-q4_k_m"


def described(headers: Mapping[str, Header], name: str, devices: tuple[str, ...], ram: str, flags: str) -> Described:
    machine = Machine(parse_devices(devices), parse_ram(ram))
    model = model_from_header(headers[name], Path(name).stem)
    return describe_flags(model, machine, (MARGIN,) * len(machine.devices), DEFAULT_BUILD, parse_flags(flags.split()))


def told(found: Described) -> str:
    assert not found.fits
    return next(f.message for f in found.findings if f.code == DOES_NOT_FIT)


TWO = ("CUDA0=11907MiB", "CUDA1=11907MiB")


@pytest.mark.parametrize(
    ("name", "devices", "ram", "flags"),
    [
        (MOE, TWO, "64GiB", "-c 65536 -np 1 -ncmoe 24"),
        (MOE, ("CUDA0=11907MiB",), "64GiB", "-c 32768 -np 1"),
        (DENSE, ("CUDA0=8GiB", "CUDA1=24GiB"), "8GiB", "-c 65536 -ts 1,1"),
        (DENSE, ("CUDA0=16GiB",), "32GiB", "-c 131072"),
    ],
)
def test_every_change_that_is_told_makes_it_fit(
    headers: Mapping[str, Header], name: str, devices: tuple[str, ...], ram: str, flags: str
) -> None:
    message = told(described(headers, name, devices, ram, flags))
    assert re.search(r"lacks [\d,]+ MiB \(its margin is 1,024 MiB\): (weights|K/V) [\d,]+ MiB and", message)
    told_changes = re.findall(r"(-(?:ts|ncmoe|ngl|c|ctk|np) [\w,]+)", message)
    assert told_changes, message
    for change in told_changes:
        extra = f"{change} -ctv {change.split()[1]}" if change.startswith("-ctk") else change
        option = re.escape(change.split()[0])
        kept = re.sub(rf"(^| ){option} \S+", "", flags)
        assert described(headers, name, devices, ram, f"{kept} {extra}").fits, change


def test_what_ram_lacks_is_told_with_what_it_holds(headers: Mapping[str, Header]) -> None:
    message = told(described(headers, MOE, TWO, "8GiB", "-c 32768 -cmoe"))
    assert re.match(r"does not fit: RAM lacks [\d,]+ MiB: weights [\d,]+ MiB and compute buffers", message)
    assert "CUDA" not in message


def test_ncmoe_on_two_devices_says_why_the_last_one_fills(headers: Mapping[str, Header]) -> None:
    found = described(headers, MOE, TWO, "64GiB", "-c 65536 -np 1 -ncmoe 24")
    note = next(f.message for f in found.findings if f.code == NCMOE)
    assert "CUDA0 keeps those of 1, CUDA1 keeps those of 23; -ts with more blocks for CUDA0 evens it out" in note
    even = described(headers, MOE, TWO, "64GiB", "-c 65536 -np 1 -ncmoe 24 -ts 36,13")
    assert NCMOE not in {f.code for f in even.findings}
    one = described(headers, MOE, TWO[:1], "64GiB", "-c 32768 -np 1 -ncmoe 40")
    assert NCMOE not in {f.code for f in one.findings}
