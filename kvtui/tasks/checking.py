"""The last word on a plan before it is used: llama-server's own dry run of exactly its flags, where there is one to ask."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from kvtui.base.findings import Finding, UsageError
from kvtui.placement.plan import Plan
from kvtui.server.measure.dry_run import DryRun, dry_run
from kvtui.server.measure.over import over_findings

CHECK_SECONDS = 10.0  # a dry run takes 0.02 to 0.8 s for models of up to 620 GiB
CHECKED = "dry-run"
REFUSED = "dry-run-refused"


@dataclass(frozen=True)
class Checked:
    """A plan with what the dry run adds to its findings. `answer`: None where there was nobody to ask."""

    plan: Plan
    answer: DryRun | None = None


def checked(plan: Plan, path: Path | None, server: str | None, seconds: float = CHECK_SECONDS) -> Checked:
    """`plan` held to a dry run, within `seconds`: of the llama-server that is named, or of the one that is found where the
    devices are real. A plan that does not fit, or whose model is not on a disk here, is not asked about. Raises UsageError
    for a named one that is none."""
    devices = plan.request.machine.devices
    named = server or os.environ.get("LLAMA_SERVER")
    real = bool(devices) and not any(d.simulated and not d.endpoint for d in devices)
    if path is None or not plan.fits or not (named or real) or seconds <= 0:
        return Checked(plan)
    from kvtui.server.binary.find import choose_server

    try:
        binary = choose_server(server)
    except UsageError:
        if named:
            raise
        return Checked(plan)
    names = [d.name for d in devices if not d.endpoint]
    try:
        answer = dry_run(binary, path, plan.argv, seconds, env=dict(plan.env), devices=names)
    except OSError as e:
        answer = DryRun(binary.build, impossible=f"it cannot be started: {e.strerror or e}")
    return Checked(with_answer(plan, answer), answer)


def with_answer(plan: Plan, answer: DryRun) -> Plan:
    """`plan` with what a dry run of it says: it no longer fits where a device is over, or where the server refuses it."""
    who = f"llama-server {answer.build}".rstrip()
    if answer.refused:
        found: tuple[Finding, ...] = (Finding(REFUSED, "error", f"{who} refuses it in a dry run: {answer.refused}"),)
    elif answer.impossible:
        found = (Finding(CHECKED, "note", f"not checked by a dry run: {answer.impossible}"),)
    else:
        request = plan.request
        found = over_findings(request.machine, request.margin_bytes, plan.estimate, answer)
        if not any(f.severity == "error" for f in found):
            text = f"{who} was asked: its dry run keeps within every device's free memory minus the margin"
            found = (*found, Finding(CHECKED, "note", text))
    refused = any(f.severity == "error" for f in found)
    return replace(plan, findings=(*plan.findings, *found), fits=plan.fits and not refused)
