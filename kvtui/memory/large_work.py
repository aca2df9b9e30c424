"""Tensors of the graph that are larger than one buffer of a device may be: ggml-vulkan.cpp,
ggml_backend_vk_device_supports_op, declines operations that read or write one, and the CPU does them."""

from collections.abc import Sequence

from kvtui.base.findings import Finding
from kvtui.base.sizes import mib
from kvtui.hardware.device import Device
from kvtui.memory.amounts import DeviceMemory
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.compute.terms import HOLES, STAGED, Term
from kvtui.memory.one_buffer import ONE_BUFFER, limit_of


def too_large_to_compute(
    compute: ComputeModel, assignment: Assignment, used: Sequence[DeviceMemory], devices: Sequence[Device]
) -> tuple[Finding, ...]:
    """Warnings for tensors of the graph that are beyond their device's largest buffer, but for weights, of which
    one_buffer_findings speaks. `used`: memory a device."""
    limits = [d.max_buffer_bytes for d in devices]
    if not any(limit is not None and use.compute_bytes > limit for limit, use in zip(limits, used, strict=True)):
        return ()
    found = []
    for device, peak in zip(devices, compute.terms(assignment), strict=False):  # RAM is last
        limit = device.max_buffer_bytes
        beyond = [t for t in peak if limit is not None and t.n_bytes > limit * t.count and _is_work(t)]
        if beyond:
            largest = max(beyond, key=lambda t: t.n_bytes / t.count)
            text = f"{largest.name}: one tensor of {mib(largest.n_bytes // largest.count)}, larger than {limit_of(device)}"
            text += ": the CPU computes it, in RAM that is not counted; a smaller -ub or -fa on makes it smaller"
            found.append(Finding(ONE_BUFFER, "warning", text))
    return tuple(found)


def _is_work(term: Term) -> bool:
    return term.name != HOLES and not term.name.startswith(STAGED)
