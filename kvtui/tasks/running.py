"""What a server that runs was asked for, read back from its record: the request behind its plan, its model, its machine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.fields import Fields
from kvtui.hardware.device import Machine
from kvtui.placement.request import Request
from kvtui.tasks.history import request_key
from kvtui.tasks.last_request import LastRequest, read_asked

if TYPE_CHECKING:
    from kvtui.server.process.record import ServerRecord


def request_that_runs(record: "ServerRecord") -> LastRequest | None:
    """None where the record has none, as those of earlier versions."""
    try:
        return read_asked(Fields((record.plan or {}).get("asked")))
    except ValueError:
        return None


def runs_model(record: "ServerRecord", request: Request, path: Path | None) -> bool:
    """Whether it runs the model of `request`: the same file, or the same model wherever it lies now."""
    if path is not None and record.model == str(path.absolute()):
        return True
    conditions = (record.plan or {}).get("conditions")
    return isinstance(conditions, dict) and conditions.get("model") == request_key(request)


def machine_before(record: "ServerRecord", machine: Machine) -> Machine:
    """`machine` with what was free before that server took its part: what a plan that takes its place has. What the
    record does not tell stays."""
    plan = record.plan or {}
    try:
        free = {str(d["name"]): int(d["free_bytes"]) for d in plan["devices"]}
        ram_free = int(plan["host"]["free_bytes"])
    except (KeyError, TypeError, ValueError):
        return machine
    devices = tuple(replace(d, free_bytes=max(d.free_bytes, min(free.get(d.name, 0), d.total_bytes))) for d in machine.devices)
    ram = machine.ram
    return replace(machine, devices=devices, ram=replace(ram, free_bytes=max(ram.free_bytes, min(ram_free, ram.total_bytes))))
