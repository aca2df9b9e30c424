"""The devices that a program's own environment leaves it (CUDA_VISIBLE_DEVICES and its kin), and what they are called there."""

from collections.abc import Mapping
from dataclasses import replace

from kvtui.base.findings import UsageError
from kvtui.hardware.device import Device

# variable -> back end whose devices it chooses (CUDA C++ Programming Guide; ROCm, "GPU isolation"; ggml-vulkan.cpp)
_VARIABLES = {
    "CUDA_VISIBLE_DEVICES": "CUDA",
    "HIP_VISIBLE_DEVICES": "ROCm",
    "ROCR_VISIBLE_DEVICES": "ROCm",
    "GGML_VK_VISIBLE_DEVICES": "Vulkan",
}


def left_visible(devices: tuple[Device, ...], env: Mapping[str, str]) -> tuple[tuple[int, Device], ...]:
    """Position and device of those of `devices` that are seen under `env`, numbered anew as the program numbers them. An entry
    that names no device ends the list, as in CUDA. Raises UsageError for entries that are no numbers."""
    chosen = [*enumerate(devices)]
    for variable, backend in _VARIABLES.items():
        if variable in env:
            mine = [i for i, d in chosen if d.backend == backend]
            seen = [mine[k] for k in _numbers(variable, env[variable], len(mine))]
            named = [(at, replace(dict(chosen)[at], name=f"{backend}{k}")) for k, at in enumerate(seen)]
            first = next((k for k, (i, _) in enumerate(chosen) if i in mine), 0)
            others = [(i, d) for i, d in chosen if i not in mine]
            chosen = [*others[:first], *named, *others[first:]]
    return tuple(chosen)


def _numbers(variable: str, setting: str, count: int) -> list[int]:
    found: list[int] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry and not entry.removeprefix("-").isdecimal():
            raise UsageError(f"{variable}={setting}: only numbers of devices are understood here; leave it out and give --device")
        if not entry or not 0 <= int(entry) < count:
            break
        if int(entry) in found:
            return []
        found.append(int(entry))
    return found
