"""The JSON of the command line, from the frozen values behind it. Field names are a contract: add, never rename."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kvtui.cache.context import ContextParams
from kvtui.findings import Finding
from kvtui.hardware.device import Machine
from kvtui.memory.assignment import CPU, Assignment
from kvtui.memory.estimate import Estimate
from kvtui.model.spec import ModelSpec

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
            "weights_bytes": use.weights_bytes,
            "cache_bytes": use.cache_bytes,
            "recurrent_bytes": use.recurrent_bytes,
            "compute_bytes": use.compute_bytes,
            "overhead_bytes": use.overhead_bytes,
            "used_bytes": use.used_bytes,
        }
        for device, margin, use in zip(machine.devices, margins, estimate.devices, strict=True)
    ]


def host_json(machine: Machine, estimate: Estimate) -> Json:
    """RAM; the two ceilings are not part of `used_bytes`."""
    use = estimate.host
    return {
        "free_bytes": machine.ram.free_bytes,
        "weights_bytes": use.weights_bytes,
        "cache_bytes": use.cache_bytes,
        "recurrent_bytes": use.recurrent_bytes,
        "compute_bytes": use.compute_bytes,
        "prompt_cache_bytes": use.prompt_cache_bytes,
        "checkpoint_bytes": use.checkpoint_bytes,
        "used_bytes": use.used_bytes,
    }


def layer_devices_json(machine: Machine, assignment: Assignment) -> list[str]:
    """A device name a block, the output last."""
    return ["CPU" if d == CPU else machine.devices[d].name for d in assignment.layer_devices]


def findings_json(findings: Iterable[Finding]) -> list[Json]:
    """Errors first."""
    order = {"error": 0, "warning": 1, "note": 2}
    return [
        {"code": f.code, "severity": f.severity, "message": f.message}
        for f in sorted(findings, key=lambda f: order[f.severity])
    ]


def fits(machine: Machine, margins: Sequence[int], estimate: Estimate) -> bool:
    """Every device within free minus margin, and the host within RAM; a shared pool is counted once."""
    pooled = 0
    for device, margin, use in zip(machine.devices, margins, estimate.devices, strict=True):
        if use.used_bytes and use.used_bytes > device.free_bytes - margin:
            return False
        if device.shared:
            pooled += use.used_bytes
    return estimate.host.used_bytes + pooled <= machine.ram.free_bytes
