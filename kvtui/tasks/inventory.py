"""What is here: by the vendors' own means, and by what the llama-server in use says that it sees."""

import os
from collections.abc import Sequence
from dataclasses import replace

from kvtui.base.findings import UsageError
from kvtui.hardware.backends import BY_NAME, HOST
from kvtui.hardware.device import Device
from kvtui.hardware.found import Found
from kvtui.hardware.listed import with_published
from kvtui.hardware.matched import matched
from kvtui.hardware.probe import Inventory, Seen, find_all
from kvtui.hardware.vendors import Look, by_rule, is_mixed
from kvtui.server.binary.chosen import remembered_choice
from kvtui.server.binary.find import choose_server
from kvtui.server.binary.inspect import ServerBinary, heard_devices
from kvtui.tasks.ram_speed import with_kept_speed

_NOT_OF_THE_MACHINE = frozenset({HOST.name, "RPC"})


def inventory_of(server: str | None = None) -> Inventory:
    """This machine for the llama-server `server`, else for the one that LLAMA_SERVER names or the app was told to use, else,
    where cards of several vendors are here, for the first that is found: it decides which of the cards have which names. Where
    there is none, each vendor's usual back end is assumed. RAM has the bandwidth that was measured here, if it was. Raises
    UsageError where `server` is none."""
    binary = choose_server(server) if server else _chosen()
    seen = find_all(binary.backends if binary else None)
    if binary is None and is_mixed(seen.looks) and (binary := _first()) is not None:
        seen = find_all(binary.backends)
    found = _inventory(seen, binary)
    return replace(found, machine=replace(found.machine, ram=with_kept_speed(found.machine.ram)))


def found_by(binary: ServerBinary) -> Found | None:
    """The devices of this machine that a llama-server can use, as it calls them, and the others; None where it says nothing."""
    listed = heard_devices(binary)
    return None if listed is None else matched(find_all(binary.backends).looks, _local(listed), binary.backends)


def _inventory(seen: Seen, binary: ServerBinary | None) -> Inventory:
    if binary is None:
        return seen.with_devices(by_rule(seen.looks, assumed=is_mixed(seen.looks)))
    if _numbers_follow(seen.looks, binary):
        return seen.with_devices(by_rule(seen.looks))
    listed = heard_devices(binary)
    if listed is None:
        return seen.with_devices(by_rule(seen.looks, assumed=True))
    return seen.with_devices(matched(seen.looks, _local(listed), binary.backends))


def _numbers_follow(looks: Sequence[Look], binary: ServerBinary) -> bool:
    """Whether names are certain without asking, which takes a second where a driver starts: one vendor's cards, and a server
    with that vendor's own back end alone."""
    own = set(binary.backends) - _NOT_OF_THE_MACHINE
    there = [done for done in looks if done.is_there]
    return len(there) == 1 and bool(there[0].found.devices) and own == {there[0].vendor.backends[0]}


def _local(listed: Sequence[Device]) -> tuple[Device, ...]:
    """What is in this machine, with what is published of it."""
    return tuple(with_published(d) for d in listed if d.backend in BY_NAME and d.backend not in _NOT_OF_THE_MACHINE)


def _chosen() -> ServerBinary | None:
    """The llama-server a person once decided for."""
    name = os.environ.get("LLAMA_SERVER") or remembered_choice()
    try:
        return choose_server(name) if name else None
    except UsageError:  # it went away since: commands that need it say so
        return None


def _first() -> ServerBinary | None:
    """The one that a launch would take, if it drives any card."""
    try:
        found = choose_server()
    except UsageError:
        return None
    return found if set(found.backends) - _NOT_OF_THE_MACHINE else None
