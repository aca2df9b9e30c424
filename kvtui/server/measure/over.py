"""What a dry run means for a plan: a device over its free memory minus the margin, or figures far from the predicted ones."""

from collections.abc import Sequence

from kvtui.base.findings import Finding
from kvtui.base.sizes import mib
from kvtui.hardware.device import Machine
from kvtui.memory.amounts import DeviceMemory, Estimate
from kvtui.server.log.breakdown import MIB, Parts
from kvtui.server.measure.dry_run import DryRun

OVER = "over"
DIFFERS = "dry-run-differs"
# A dry run forgets where the norms run and reserves buffers in another order than a load (ggml-backend.cpp,
# ggml_backend_sched_reserve_size): up to here nobody needs to know.
NOTABLE_BYTES = 64 * MIB


def over_findings(machine: Machine, margins: Sequence[int], predicted: Estimate, answer: DryRun) -> tuple[Finding, ...]:
    """An error `over` for each device on which the dry run has more than free minus margin, whatever was predicted; a note for
    each on which the two differ by more than 64 MiB. What loads beside the model is in no dry run's table: as predicted."""
    found = []
    for device, margin, use in zip(machine.devices, margins, predicted.devices, strict=True):
        said = answer.devices.get(device.name)
        if said is None:
            continue
        room = max(device.free_bytes - margin, 0)
        wanted = said.total + use.beside_bytes
        beside = f" and {mib(use.beside_bytes)} for what loads beside the model" if use.beside_bytes else ""
        if wanted > room:
            of = f"{mib(room)} ({mib(device.free_bytes)} free, margin {mib(margin)})"
            text = f"{device.name} is over by {mib(wanted - room)}: the dry run has {mib(said.total)} there{beside}, of {of}"
            found.append(Finding(OVER, "error", text))
        if abs(said.total - _same_parts(use).total) > NOTABLE_BYTES:
            found.append(_differs(device.name, said, _same_parts(use)))
    return tuple(found)


def verdict(machine: Machine, margins: Sequence[int], predicted: Estimate, answer: DryRun) -> Finding:
    """A dry run held to its plan in one sentence: an error where a device is over or the server refuses, a warning where one
    takes more than 64 MiB more or less than predicted."""
    if answer.refused:
        return Finding(OVER, "error", f"dry run: llama-server refuses it: {answer.refused}")
    if answer.impossible:
        return Finding(DIFFERS, "note", f"not checked by a dry run: {answer.impossible}")
    said, over, most = [], False, 0
    for device, margin, use in zip(machine.devices, margins, predicted.devices, strict=True):
        if device.name not in answer.devices:
            continue
        total = answer.devices[device.name].total
        more = total - _same_parts(use).total
        beyond = total + use.beside_bytes - max(device.free_bytes - margin, 0)
        most, over = max(most, abs(more)), over or beyond > 0
        if beyond > 0 or abs(more) > NOTABLE_BYTES:
            by = f", over by {mib(beyond)}" if beyond > 0 else ""
            said.append(f"{device.name} takes {mib(abs(more))} {'less' if more < 0 else 'more'}{by}")
    if said:
        return Finding(OVER if over else DIFFERS, "error" if over else "warning", f"dry run: {'; '.join(said)}")
    return Finding(DIFFERS, "note", f"dry run agrees within {mib(most)}" if answer.devices else "dry run: llama-server takes it")


def _same_parts(use: DeviceMemory) -> Parts:
    """The parts that a dry run tells."""
    return Parts(use.weights_bytes, use.context_bytes, use.compute_bytes)


def _differs(name: str, said: Parts, predicted: Parts) -> Finding:
    only_compute = abs(said.model - predicted.model) <= MIB and abs(said.context - predicted.context) <= MIB
    why = "; a load reserves its compute buffers in another way than a dry run" if only_compute else ""
    text = f"{name}: the dry run has {mib(said.total)}, a load {mib(predicted.total)} by this estimate{why}"
    return Finding(DIFFERS, "note", text)
