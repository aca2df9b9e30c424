"""Seconds a token as measurements have them: what a byte, an operation and a hand-off cost (data/pace.toml)."""

import tomllib
from dataclasses import dataclass
from functools import cache

from kvtui.base.data import data_file
from kvtui.cache.reading import COPY_PASSES
from kvtui.hardware.device import Device, Machine
from kvtui.hardware.ram_speed import MEASURED_HERE
from kvtui.placement.decode import Part, Work

_GRAPHS_FROM = 70  # compute capability; ggml-cuda.cu, ggml_cuda_graph_set_enabled: none before Volta


@dataclass(frozen=True)
class Pace:
    """`device`, `ram`, `cache`: times what the published bandwidth would take, caches by their size as f16; `ram_measured`:
    times what RAM's bandwidth as measured here would. `handoff` to `launched_pascal`: seconds each. `low` and `high`: of measured
    over said, where a tenth of the rows lies beyond each."""

    device: float
    ram: float
    ram_measured: float
    cache: float
    handoff: float
    replayed: float
    launched: float
    launched_pascal: float
    low: float
    high: float


@cache
def pace() -> Pace:
    """The figures of data/pace.toml."""
    table = tomllib.loads(data_file("pace.toml").read_text(encoding="utf-8"))
    return Pace(**table["bytes"], **table["seconds"], **table["spread"])


def calibrated_seconds(work: Work, machine: Machine, by: Pace, share: float = 1.0) -> float | None:
    """Seconds a token with `share` of the context in use; None where a place that is used has no known bandwidth."""
    seconds = work.handoffs * by.handoff
    for part, device in zip(work.parts, (*machine.devices, None), strict=True):
        bandwidth = machine.ram.bandwidth if device is None else device.bandwidth
        on_cpu = part.runs == "cpu" and part.cache_bytes > 0
        if (part.used and not bandwidth) or (on_cpu and not machine.ram.bandwidth):
            return None
        if bandwidth:
            of_ram = by.ram_measured if machine.ram.bandwidth_source == MEASURED_HERE else by.ram
            seconds += _weights(part, bandwidth, device, by, of_ram)
            seconds += share * _caches(part, machine.ram.bandwidth or bandwidth if on_cpu else bandwidth, device, by, of_ram)
    return seconds


def _weights(part: Part, bandwidth: float, device: Device | None, by: Pace, of_ram: float) -> float:
    if device is None:
        return part.weight_bytes / bandwidth * of_ram
    return part.weight_bytes / bandwidth * by.device + part.operations * _operation(device, by)


def _caches(part: Part, bandwidth: float, device: Device | None, by: Pace, of_ram: float) -> float:
    if device is None or part.runs == "cpu":
        return part.cache_bytes / bandwidth * of_ram
    copied = part.cache_bytes + COPY_PASSES * part.as_f16_bytes if part.runs == "converted" else 0.0
    return max(part.cache_bytes, part.as_f16_bytes, copied) / bandwidth * by.cache


def _operation(device: Device, by: Pace) -> float:
    if device.backend != "CUDA":
        return by.launched
    old = device.compute_capability is not None and device.compute_capability < _GRAPHS_FROM
    return by.launched_pascal if old else by.replayed
