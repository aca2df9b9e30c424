"""Seconds a token of a prompt, by what bounds each place: bytes read, operations done, or the link that weights in RAM cross."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kvtui.cache.layout import cache_layout, physical_batch
from kvtui.flags.context import ContextParams
from kvtui.hardware.arithmetic import operations_a_second
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment, opened_of
from kvtui.memory.compute.rules import RULES
from kvtui.model.spec import Layer, ModelSpec
from kvtui.placement.solve.problem import seconds_per_byte
from kvtui.placement.solve.yardstick import UNKNOWN_LINK

Bound = Literal["bandwidth", "arithmetic", "link"]


@dataclass(frozen=True)
class Prompt:
    """`seconds`: a token, `least_seconds` if arithmetic took no time. `bound`: what takes most of them. `at_least`: the
    arithmetic of a place that computes was never measured, so that its reading and its published peak alone are counted and a
    prompt takes longer."""

    seconds: float
    least_seconds: float
    bound: Bound
    at_least: bool


def prompt_of(model: ModelSpec, context: ContextParams, assignment: Assignment, machine: Machine, share: float = 1.0) -> Prompt:
    """Once a ubatch each place reads all that is on it, and computes for each of its tokens; weights in RAM cross the link of the
    device that computes with them (`stager`). `share`: of the context that is in use."""
    speed = seconds_per_byte(machine)
    n_ubatch = max(physical_batch(model, context), 1)
    opened = opened_of(assignment.opened, len(machine.devices))
    stages = stager(machine, opened, context)
    reading, operations, link = [0.0] * len(speed), [0.0] * len(speed), 0.0
    for t, place in zip(model.tensors, assignment.tensor_devices, strict=True):
        if not t.loaded or t.kind == "input":
            continue
        where = stages if place == CPU else place
        if place == CPU and where != CPU:
            link += t.n_bytes / (machine.devices[where].link or UNKNOWN_LINK)
        else:
            reading[place] += t.n_bytes * speed[place]
        if t.kind == "repeating" and len(t.dims) > 1:  # the output is computed for a prompt's last token alone
            operations[where] += 2.0 * t.elements * t.active * n_ubatch
    layout, homes = cache_layout(model, context), assignment.layer_devices
    for layer, cells, home in zip(model.layers, layout.layers, homes, strict=False):
        reading[home] += share * cells.cache_bytes * speed[home]
        operations[home] += _attention(layer, n_ubatch)
    return _bounded(reading, operations, link, machine, n_ubatch)


def stager(machine: Machine, opened: Sequence[int], context: ContextParams) -> int:
    """The device that computes with weights in RAM for large batches: of those `opened` the first whose back end takes them; CPU
    where none does (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur; ggml-rpc.cpp has no offload_op)."""
    rules = ((d, RULES.get(machine.devices[d].backend)) for d in opened)
    return next((d for d, r in rules if r is not None and r.stages and context.op_offload), CPU)


def _attention(layer: Layer, n_ubatch: int) -> float:
    """Operations of a ubatch's attention at the start of a prompt: each token looks at half of its ubatch, on average."""
    return n_ubatch * layer.n_head * (layer.head_k + layer.head_v) * float(n_ubatch) if layer.has_cache else 0.0


def _bounded(reading: Sequence[float], operations: Sequence[float], link: float, machine: Machine, n_ubatch: int) -> Prompt:
    takes: dict[Bound, float] = {"link": link, "arithmetic": 0.0, "bandwidth": 0.0}
    at_least = False
    for device, read, done in zip((*machine.devices, None), reading, operations, strict=True):
        measured = operations_a_second(device) if device is not None else None
        rate = measured or (device.peak_operations if device is not None else None)
        computing = done / rate if rate else 0.0
        at_least = at_least or (done > 0 and not measured)
        takes["arithmetic" if computing > read else "bandwidth"] += max(read, computing)
    least = (link + sum(reading)) / n_ubatch
    return Prompt(sum(takes.values()) / n_ubatch, least, max(takes, key=lambda kind: takes[kind]), at_least)
