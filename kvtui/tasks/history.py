"""From servers that ran here to the next plan: which measurement holds for a request, and what it corrects."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvtui.base.build import build_in
from kvtui.base.findings import Finding, KvtuiError
from kvtui.base.sizes import gib, mib
from kvtui.hardware.device import Machine
from kvtui.memory.corrections import NOTHING, Learned
from kvtui.placement.request import Request
from kvtui.server.measure.measured import Measurement, damaged, measurements, model_key, recall, remember

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.log.breakdown import LoggedMemory

Json = dict[str, Any]
PROVEN = "proven-here"


def gpus_of(machine: Machine) -> tuple[tuple[str, str], ...]:
    """What tells a set of devices from another."""
    return tuple((d.name, d.description or d.endpoint or "") for d in machine.devices)


def request_key(request: Request) -> str:
    """The model, whatever its path."""
    return model_key(request.model.architecture, request.model.name, request.model.weights_bytes)


def filed_under(request: Request) -> str:
    """The server's identity, or only the build where no server is known."""
    return request.server or str(request.build)


def _is_of(measurement: Measurement, request: Request) -> bool:
    """Measured with this very server; where none is known, with any of this build."""
    if request.server:
        return measurement.build == request.server
    return build_in(measurement.build.partition("@")[0]) == request.build


def conditions_json(plan: "Plan") -> Json:
    """What a measurement of this plan's run has to be filed under; kept with the launch."""
    request, memory = plan.request, plan.estimate
    learned = request.learned
    estimated = {}
    for i, (device, use) in enumerate(zip(request.machine.devices, memory.devices, strict=True)):
        correction = learned.compute_bytes[i] if use.compute_bytes and i < len(learned.compute_bytes) else 0
        estimated[device.name] = use.compute_bytes - correction
    estimated["RAM"] = memory.host.compute_bytes - learned.host_compute_bytes
    return {
        "server": filed_under(request),
        "model": request_key(request),
        "gpus": [list(g) for g in gpus_of(request.machine)],
        "context": _context(request),
        "argv": list(plan.argv),
        "estimated_compute": estimated,
    }


def measured(build: str, conditions: Mapping[str, Any], memory: "LoggedMemory", held: Mapping[str, int]) -> Measurement:
    """The measurement of a run that has just become ready. KeyError if `conditions` are none,
    NotLearned if the log is not to be believed."""
    from kvtui.server.measure.comparison import logged_parts, parts_of
    from kvtui.server.measure.trust import doubt
    from kvtui.server.process.holding import RAM, overheads

    if strange := doubt(memory, parts_of(conditions.get("dry_run"))):
        raise NotLearned(f"nothing is learned from this run: {strange}")
    parts, mapped = logged_parts(memory)
    return Measurement(
        build=str(conditions.get("server") or build),
        model=str(conditions["model"]),
        gpus=tuple((str(name), str(kind)) for name, kind in conditions["gpus"]),
        argv=tuple(map(str, conditions["argv"])),
        at=time.time(),
        model_bytes={name: p.model for name, p in parts.items() if not (mapped and name == RAM)},
        context_bytes={name: p.context for name, p in parts.items()},
        compute_bytes={name: p.compute for name, p in parts.items()},
        estimated_compute_bytes=dict(conditions["estimated_compute"]),
        context=dict(conditions["context"]),
        held_bytes=dict(held),
        overhead_bytes=overheads({name: p.total for name, p in parts.items()}, held),
    )


def with_stress(measurement: Measurement, peak: Mapping[str, int], passed: bool, prompt_tokens: int) -> Measurement:
    """The same run after a long prompt: its peak, and whether it lived."""
    from kvtui.server.process.holding import overheads

    listed = {
        name: measurement.model_bytes.get(name, 0) + measurement.context_bytes.get(name, 0) + compute
        for name, compute in measurement.compute_bytes.items()
    }
    grown = overheads(listed, peak)
    return replace(
        measurement,
        at=time.time(),
        peak_bytes=dict(peak),
        overhead_bytes={
            n: max(grown.get(n, 0), measurement.overhead_bytes.get(n, 0)) for n in {**grown, **measurement.overhead_bytes}
        },
        proven=passed,
        prompt_tokens=prompt_tokens if passed else 0,
    )


class NotLearned(ValueError):
    """A log that is not to be believed: one sentence."""


def with_learned(request: Request, state: Path | None = None, *, known: Sequence[Measurement] | None = None) -> Request:
    """`request` with what was measured on these devices, with this model and build; simulated devices have no past.
    `known`: the measurements that count; None: all that are kept."""
    if all(d.simulated and not d.endpoint for d in request.machine.devices) and request.machine.devices:
        return replace(request, learned=NOTHING)
    gpus, key = gpus_of(request.machine), request_key(request)
    mine = [
        m for m in (measurements(state) if known is None else known) if _is_of(m, request) and m.gpus == gpus and m.model == key
    ]
    if not mine:
        return replace(request, learned=NOTHING)
    names = [d.name for d in request.machine.devices]
    overhead = tuple(max(m.overhead_bytes.get(name, 0) for m in mine) for name in names)
    same = next((m for m in mine if m.estimated_compute_bytes and _same_context(m.context, _context(request))), None)
    said = [f"overhead of {len(mine)} run{'s' if len(mine) > 1 else ''} here"] if any(overhead) else []
    compute: tuple[int, ...] = ()
    host = 0
    if same is not None:
        compute = tuple(_difference(same, name) for name in names)
        host = _difference(same, "RAM")
        said.insert(0, f"compute measured here, {request.build}")
    if not said:
        return replace(request, learned=NOTHING)
    return replace(request, learned=Learned(overhead if any(overhead) else (), compute, host, ", ".join(said)))


def proof(plan: "Plan", state: Path | None = None) -> Finding | None:
    """Whether this very plan has lived through a long prompt on this machine."""
    request = plan.request
    found = recall(filed_under(request), request_key(request), gpus_of(request.machine), plan.argv, state)
    if found is None:
        return None
    peaks = ", ".join(f"{name} {gib(n)}" for name, n in found.peak_bytes.items())
    if found.proven:
        return Finding(
            PROVEN, "note", f"proven here: lived through {found.prompt_tokens:,} prompt tokens; peak {peaks or 'unknown'}"
        )
    if found.peak_bytes:
        return Finding(PROVEN, "warning", f"a stress run of this plan did not end well here; peak {peaks}")
    ran = ", ".join(f"{name} {mib(n)}" for name, n in found.held_bytes.items())
    return Finding(PROVEN, "note", f"ran here, without a long prompt yet{f': it held {ran}' if ran else ''}")


def with_proof(plan: "Plan", state: Path | None = None) -> "Plan":
    """`plan`, with what is known of earlier runs among its findings."""
    found = proof(plan, state)
    said = plan.request.learned.said
    notes = [Finding("measured-here", "note", said)] if said else []
    return replace(plan, findings=(*plan.findings, *notes, *([found] if found else []), *damaged(state)))


def keep(measurement: Measurement, state: Path | None = None) -> None:
    """Remember it; a full disk, or a newer kvtui's file, only costs the memory of it."""
    import contextlib

    with contextlib.suppress(OSError, KvtuiError):
        remember(measurement, state)


def _difference(m: Measurement, name: str) -> int:
    estimated = m.estimated_compute_bytes.get(name, 0)
    return m.compute_bytes.get(name, estimated) - estimated


def _context(request: Request) -> Json:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(request.context).items()}


def _same_context(kept: Mapping[str, Any], asked: Json) -> bool:
    """The same flags; a context that is still to be chosen matches any."""
    one, other = dict(kept), dict(asked)
    chosen, wanted = one.pop("n_ctx", None), other.pop("n_ctx", None)
    return one == other and (wanted == chosen or not wanted)
