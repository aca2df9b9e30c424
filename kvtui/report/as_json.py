"""The JSON of the command line, from the frozen values behind it. Field names are a contract: add, never rename."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvtui.base.findings import Finding
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.holders import NOBODY, HeldNow, Holder
from kvtui.hardware.probe import Inventory
from kvtui.memory.assignment import Assignment
from kvtui.memory.estimate import Estimate
from kvtui.model.spec import ModelSpec
from kvtui.placement.goals import Goal
from kvtui.report.columns import COLUMNS
from kvtui.report.configuration import configuration, configuration_json
from kvtui.report.findings import findings_json
from kvtui.report.formulas import explain_json
from kvtui.report.parts import OF_DEVICES, OF_THE_HOST, values
from kvtui.report.simulated import simulated_parts

if TYPE_CHECKING:
    from kvtui.memory.compute import ComputeBytes
    from kvtui.memory.described import Described
    from kvtui.placement.plan import Plan
    from kvtui.placement.speed import Speed
    from kvtui.placement.table import PairRow
    from kvtui.server.measure.dry_run import DryRun
    from kvtui.server.measure.measured import Measurement

SCHEMA = 1
Json = dict[str, Any]


def model_json(model: ModelSpec, path: Path | str) -> Json:
    """What the header says."""
    return {
        "path": str(path),
        "architecture": model.architecture,
        "name": model.name,
        "layers": model.n_layer_all,
        "tensors": len(model.tensors),
        "weights_bytes": model.weights_bytes,
        "trained_context": model.n_ctx_train,
    }


def context_json(model: ModelSpec, context: ContextParams) -> Json:
    """Tokens asked for and cells llama.cpp makes of them."""
    return {
        "requested": context.n_ctx or model.n_ctx_train,
        "cells": context.cells(model.n_ctx_train),
        "slots": context.slots,
        "per_slot": context.cells_per_slot(model.n_ctx_train),
        "type_k": context.type_k,
        "type_v": context.type_v,
    }


def devices_json(machine: Machine, margins: Sequence[int], estimate: Estimate) -> list[Json]:
    """One object a device, in llama.cpp's order; bytes."""
    return [
        {
            "name": device.name,
            "total_bytes": device.total_bytes,
            "free_bytes": device.free_bytes,
            "margin_bytes": margin,
            "simulated": device.simulated,
            "seen_at": device.seen_at,
            **values(use, OF_DEVICES),
        }
        for device, margin, use in zip(machine.devices, margins, estimate.devices, strict=True)
    ]


def host_json(machine: Machine, estimate: Estimate) -> Json:
    """RAM; the two ceilings are not part of `used_bytes`."""
    ram = machine.ram
    return {"free_bytes": ram.free_bytes, "simulated": ram.simulated, **values(estimate.host, OF_THE_HOST)}


def beside_json(machine: Machine, estimate: Estimate) -> list[Json]:
    """What is loaded beside the model, one object a thing and device; bytes."""
    return [
        {
            "what": part.what,
            "device": "CPU" if part.device == CPU else machine.devices[part.device].name,
            "bytes": part.n_bytes,
            "weights_bytes": part.weights_bytes,
            "cache_bytes": part.cache_bytes,
            "recurrent_bytes": part.recurrent_bytes,
            "compute_bytes": part.compute_bytes,
            "output_bytes": part.output_bytes,
        }
        for part in estimate.beside
    ]


def layer_devices_json(machine: Machine, assignment: Assignment) -> list[str]:
    """A device name a block, the output last."""
    return ["CPU" if d == CPU else machine.devices[d].name for d in assignment.layer_devices]


def speed_json(speed: "Speed | None") -> Json | None:
    """Tokens a second, and the yardstick's seconds; null where a bandwidth is not known."""
    return None if speed is None else asdict(speed)


def estimate_json(described: "Described", path: str, argv: Sequence[str], timings: Json, speed: "Speed | None") -> Json:
    """The JSON of `kvtui estimate`."""
    model, machine, context = described.model, described.machine, described.flags.context
    return {
        "schema": SCHEMA,
        "build": str(described.build),
        "model": model_json(model, path),
        "context": context_json(model, context),
        "devices": devices_json(machine, described.margins, described.estimate),
        "beside": beside_json(machine, described.estimate),
        "host": host_json(machine, described.estimate),
        "layer_devices": layer_devices_json(machine, described.assignment),
        "fits": described.fits,
        "speed": speed_json(speed),
        "compute_basis": described.estimate.basis,
        "argv": list(argv),
        "env": {},
        "timings": timings,
        "explain": explain_json(model, context),
        "findings": findings_json(described.findings),
    }


def plan_json(plan: "Plan", path: str, timings: Json) -> Json:
    """The JSON of `kvtui plan`."""
    request = plan.request
    return {
        "schema": SCHEMA,
        "build": str(request.build),
        "model": model_json(request.model, path),
        "context": context_json(request.model, request.context),
        "devices": devices_json(request.machine, request.margin_bytes, plan.estimate),
        "beside": beside_json(request.machine, plan.estimate),
        "host": {**host_json(request.machine, plan.estimate), "margin_bytes": request.ram_margin_bytes},
        "layer_devices": layer_devices_json(request.machine, plan.assignment),
        "fits": plan.fits,
        "speed": speed_json(plan.speed),
        "optimality": {
            "bound_seconds_per_token": plan.optimality.bound_seconds,
            "gap": plan.optimality.gap,
            "proven": plan.optimality.proven,
            "remaining": plan.optimality.remaining,
        },
        "compute_basis": plan.estimate.basis,
        "argv": list(plan.argv),
        "env": dict(plan.env),
        "timings": timings,
        "configuration": configuration_json(configuration(plan)),
        "findings": findings_json(plan.findings),
    }


def holders_json(holders: Sequence[Holder], ours: Collection[int]) -> list[Json]:
    """Processes of a device; `bytes` is null where its driver does not tell."""
    return [{"pid": h.pid, "name": h.name, "bytes": h.used_bytes, "ours": h.pid in ours} for h in holders]


def inventory_json(found: Inventory, held: HeldNow = NOBODY) -> Json:
    """The JSON of `kvtui devices`. `held`: who is on the cards."""
    machine = found.machine
    return {
        "schema": SCHEMA,
        "problem": found.problem,
        "nvidia_driver": held.driver,
        "devices": [
            {
                "name": d.name,
                "description": d.description,
                "total_bytes": d.total_bytes,
                "free_bytes": d.free_bytes,
                "bandwidth_bytes_per_second": d.bandwidth,
                "bandwidth_source": d.bandwidth_source,
                "link_bytes_per_second": d.link,
                "pci_id": d.pci_id,
                "endpoint": d.endpoint,
                "seen_at": d.seen_at,
                "shared": d.shared,
                "simulated": d.simulated,
                "display": d.display,
                "also": list(d.also),
                "name_assumed": d.assumed,
                "compute_capability": d.compute_capability,
                "processes": holders_json(held.on(i), held.ours),
            }
            for i, d in enumerate(machine.devices)
        ],
        "unusable": [{"name": u.name, "description": u.description, "reason": u.reason} for u in machine.unusable],
        "numa": [
            {"node": n.number, "free_bytes": n.free_bytes, "total_bytes": n.total_bytes, "has_cpus": n.has_cpus}
            for n in found.nodes
        ],
        "swap": {"free_bytes": found.swap.free_bytes, "total_bytes": found.swap.total_bytes},
        "ram": {
            "total_bytes": machine.ram.total_bytes,
            "free_bytes": machine.ram.free_bytes,
            "bandwidth_bytes_per_second": machine.ram.bandwidth,
            "bandwidth_source": machine.ram.bandwidth_source,
        },
    }


def table_json(rows: Sequence["PairRow"], advice: str, goal: Goal, machine: Machine) -> Json:
    """The JSON of `kvtui table`; `advice`: one sentence; `recommended`: for `goal`, which was asked; `simulated`: what of the
    machine is described instead of had."""
    return {
        "schema": SCHEMA,
        "goal": goal,
        "advice": advice,
        "simulated": simulated_parts(machine),
        "rows": [
            {column.key: column.value(row) for column in COLUMNS} | {"recommended": goal in row.recommended_for} for row in rows
        ],
    }


def verify_json(
    machine: Machine,
    predicted: Estimate,
    answer: "DryRun",
    path: str,
    measurement: "Measurement | None" = None,
    findings: Sequence[Finding] = (),
    derived: "ComputeBytes | None" = None,
) -> Json:
    """The JSON of `kvtui verify`: bytes; `dry_run` is null where the server names no such device, `actual` where no
    server ran here under these conditions. `findings`: where it is over, and where the two differ; `derived`: what a dry
    run should say of compute, where that can be told."""
    from kvtui.server.measure.comparison import compare, comparison_json, dry_parts, predicted_parts

    plan = {"devices": devices_json(machine, (0,) * len(machine.devices), predicted), "host": host_json(machine, predicted)}
    own = dict(zip([*(d.name for d in machine.devices), "CPU"], (*derived.devices, derived.host), strict=True)) if derived else {}
    rows = comparison_json(compare(predicted_parts(plan), dry_parts(answer), measurement))
    return {
        "schema": SCHEMA,
        "server": {"path": path, "build": answer.build},
        "devices": [{**row, "derived_dry_run_compute": own.get(row["name"])} for row in rows],
        "layer_devices": list(answer.layer_devices),
        "refused": answer.refused,
        "impossible": answer.impossible,
        "proven_here": measurement is not None and measurement.proven,
        "peak_bytes": dict(measurement.peak_bytes) if measurement is not None else {},
        "seconds": answer.seconds,
        "findings": findings_json(findings),
    }
