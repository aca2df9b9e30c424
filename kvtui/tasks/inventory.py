"""What is here: by the vendors' own means, and what only a llama-server can see."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.findings import UsageError
from kvtui.hardware.device import Device
from kvtui.hardware.listed import with_published
from kvtui.hardware.probe import Inventory, find_inventory
from kvtui.tasks.ram_speed import with_kept_speed

if TYPE_CHECKING:
    from kvtui.server.binary.inspect import ServerBinary


def inventory_of(server: str | None = None) -> Inventory:
    """This machine for the llama-server `server`, which decides which of its devices have which names. Where no vendor's
    means find one, that server is asked, or the one that LLAMA_SERVER names or the app was told to use. RAM has the bandwidth
    that was measured here, if it was. Raises UsageError where `server` is none."""
    named = _found(server) if server else None
    found = find_inventory(named.backends if named else None)
    found = replace(found, machine=replace(found.machine, ram=with_kept_speed(found.machine.ram)))
    if found.machine.devices:
        return found
    binary = named or _chosen()
    devices = listed_devices(binary) if binary is not None else ()
    if not devices:
        return found
    return replace(found, machine=replace(found.machine, devices=devices), problem=None)


def listed_devices(binary: "ServerBinary") -> tuple[Device, ...]:
    """The devices of this machine that a llama-server lists, with what is published of them; () where it does not answer."""
    from kvtui.server.binary.inspect import list_devices

    try:
        listed = list_devices(binary)
    except OSError:
        return ()
    return tuple(with_published(d) for d in listed if d.backend not in ("", "RPC"))


def _found(name: "str | Path") -> "ServerBinary":
    from kvtui.server.binary.find import choose_server  # not where a vendor's own means are enough

    return choose_server(name)


def _chosen() -> "ServerBinary | None":
    """The llama-server a person once decided for."""
    from kvtui.server.binary.chosen import remembered_choice

    name = os.environ.get("LLAMA_SERVER") or remembered_choice()
    try:
        return _found(name) if name else None
    except UsageError:  # it went away since: commands that need it say so
        return None
