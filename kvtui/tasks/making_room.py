"""After a load that ran out of memory: what was asked, what the plan had for it, and the request that leaves that room."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvtui.base.sizes import MIB, mib
from kvtui.placement.request import Request
from kvtui.server.log.out_of_memory import RAM, OutOfMemory
from kvtui.server.measure.comparison import predicted_parts

_STEP_BYTES = 64 * MIB  # a margin in whole steps: logs round, and nobody reads single MiB


def told(found: OutOfMemory, plan: Mapping[str, Any]) -> str:
    """One sentence; `plan`: the launched one's own JSON."""
    parts = predicted_parts(plan).get(found.device)
    planned = "" if parts is None else f", where the plan has {mib(getattr(parts, found.part))} in all"
    lack = "" if found.lacking_bytes is None else f"; {mib(found.lacking_bytes)} lacked"
    return f"{found.device} ran out of memory: {mib(found.asked_bytes)} were asked for {found.part}{planned}{lack}"


def with_room(request: Request, found: OutOfMemory) -> tuple[Request, str]:
    """The request that leaves that room, and a sentence on it; the same request where it has no such device."""
    more = -(-found.room_bytes // _STEP_BYTES) * _STEP_BYTES
    names = [d.name for d in request.machine.devices]
    if found.device == RAM:
        before, changed = request.ram_margin_bytes, replace(request, ram_margin_bytes=request.ram_margin_bytes + more)
    elif found.device in names:
        margins, at = list(request.margin_bytes), names.index(found.device)
        before = margins[at]
        margins[at] += more
        changed = replace(request, margins=tuple(margins))
    else:
        return request, f"this machine has no {found.device} to leave room on"
    return changed, f"{found.device}: {mib(before + more)} are left free, {mib(before)} before"
