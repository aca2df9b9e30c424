"""From a plan to a launch: what it needs free right now, and what is kept of it beside the running server."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from kvtui.flags.read import parse_flags
from kvtui.report.as_json import plan_json
from kvtui.server.measure.comparison import dry_parts, parts_json
from kvtui.server.measure.dry_run import Cancelled, DryRun, dry_run
from kvtui.server.process.preflight import Needs
from kvtui.tasks.history import conditions_json
from kvtui.tasks.last_request import asked_json, asked_of

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary

DRY_RUN_SECONDS = 15.0
_UNMAPPED = ("none", "dio")  # load modes that hold all of the host's weights; the others map the file


def needs_of(plan: "Plan") -> Needs:
    """Bytes that must be free: mapped weights can always give way."""
    machine, memory = plan.request.machine, plan.estimate
    host = memory.host
    mapped = 0 if parse_flags(plan.argv, build=plan.request.build).load_mode in _UNMAPPED else host.weights_bytes
    endpoints = tuple(dict.fromkeys(d.endpoint for d in machine.devices if d.endpoint))
    return Needs(machine.devices, tuple(u.used_bytes for u in memory.devices), host.used_bytes - mapped, endpoints)


def record_plan(plan: "Plan", path: Path, answer: DryRun | None = None, more: Sequence[str] = ()) -> dict[str, Any]:
    """The plan's own JSON, the request behind it, what the dry run said, and what a measurement of it is filed under. `more`:
    arguments that a config gives the server."""
    said = parts_json(dry_parts(answer)) if answer is not None else {}
    kept = {
        "asked": asked_json(asked_of(plan.request)),
        "dry_run": said,
        "more": list(more),
        "conditions": {**conditions_json(plan), "dry_run": said},
    }
    return {**plan_json(plan, str(path), {}), **kept}


def ask_first(binary: "ServerBinary", plan: "Plan", path: Path, cancel: Event) -> DryRun | None:
    """The dry run of a plan that is about to be launched: a refusal is known before, and its figures are kept."""
    try:
        return dry_run(binary, path, plan.argv, DRY_RUN_SECONDS, env=dict(plan.env), cancel=cancel)
    except (Cancelled, OSError):
        return None
