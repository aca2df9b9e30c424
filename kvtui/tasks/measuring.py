"""What a server of ours took once it is ready: from its log and the driver to the measurements that plans learn from."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.placement.plan import Plan
from kvtui.server.log.breakdown import logged_memory
from kvtui.server.log.follow import first_lines
from kvtui.server.measure.measured import Measurement, recall
from kvtui.server.process.holding import held_by
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.history import NotLearned, conditions_json, keep, measured


def take_measurement(process: ServerProcess, devices: Sequence[Device]) -> Measurement | None:
    """Kept where this process controls the server; None for a record of another form. NotLearned, with the
    reason, for a log that is not to be believed."""
    record = process.record
    conditions = (record.plan or {}).get("conditions")
    if not isinstance(conditions, dict):
        return None
    try:
        held = held_by(record.pid, devices, nvml.poll().gpus)
        found = measured(record.build, conditions, logged_memory(first_lines(record.log)), held)
    except NotLearned:
        raise
    except (KeyError, TypeError, ValueError):
        return None
    if not process.read_only:
        keep(found)
    return recall(found.build, found.model, found.gpus, found.argv) or found


def learn_from_load(plan: Plan, build: str, load_lines: Sequence[str], pid: int | None, state: Path | None = None) -> None:
    """Keep what a server of this plan took, by what it said while it loaded; a log that is not to be believed teaches
    nothing."""
    held = held_by(pid, plan.request.machine.devices, nvml.poll().gpus) if pid is not None else {}
    with suppress(NotLearned):
        keep(measured(build, conditions_json(plan), logged_memory(load_lines), held), state)
