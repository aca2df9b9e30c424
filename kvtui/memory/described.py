"""What exact flags of llama-server would allocate, with findings: the value behind `kvtui estimate`."""

from dataclasses import dataclass, field

from kvtui.base.build import Build
from kvtui.base.findings import DOES_NOT_FIT, Finding
from kvtui.base.sizes import mib
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import Machine
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside import Beside, BesideModel
from kvtui.memory.compute import ComputeModel
from kvtui.memory.corrections import NOTHING, Learned
from kvtui.memory.estimate import Estimate, estimate
from kvtui.memory.expert_cache import expert_cache_findings
from kvtui.memory.fits import capacities, lacking
from kvtui.memory.refusals import refusals
from kvtui.memory.standing import standing_of
from kvtui.model.spec import ModelSpec

_MIB = 2**20


@dataclass(frozen=True)
class Described:
    """One configuration, nothing optimized."""

    model: ModelSpec = field(repr=False)
    machine: Machine
    margins: tuple[int, ...]
    build: Build
    flags: ServerFlags
    assignment: Assignment
    estimate: Estimate
    fits: bool
    findings: tuple[Finding, ...]
    fa_quants: tuple[str, ...] | None = None


def describe_flags(
    model: ModelSpec,
    machine: Machine,
    margins: tuple[int, ...],
    build: Build,
    flags: ServerFlags,
    beside: Beside | None = None,
    learned: Learned = NOTHING,
    fa_quants: tuple[str, ...] | None = None,
) -> Described:
    """What `flags` would take, with what is `beside` the model. Of what was `learned` here the overhead alone counts.
    `fa_quants`: the K/V pairs that the binary has kernels for, None for the default set. Raises UsageError for devices and
    buffers that are not there."""
    assignment = assign(model, flags, machine)
    others = BesideModel(
        beside or Beside(flags.beside), model, flags.context, machine, str(build), main=flags, fa_quants=fa_quants
    )
    compute = ComputeModel(model, flags.context, machine, str(build), fa_quants=fa_quants)
    memory = estimate(
        model,
        flags.context,
        assignment,
        machine,
        str(build),
        compute=compute,
        cache_ram_bytes=max(flags.cache_ram_mib, 0) * _MIB,
        checkpoints=max(flags.checkpoints, 0),
        learned=Learned(overhead_bytes=learned.overhead_bytes),
        beside=others,
    )
    found = list(refusals(model, flags.context, build))
    found += _split_mode(flags)
    found += others.findings
    found += expert_cache_findings(model, assignment, machine, flags.context.expert_cache_mib)
    found += standing_of(model, build)
    lacks = lacking(machine, capacities(machine, margins), memory)
    if lacks:
        found.append(Finding(DOES_NOT_FIT, "error", f"does not fit: {', '.join(map(str, lacks))}"))
    if memory.host.used_bytes + memory.host.prompt_cache_bytes > machine.ram.free_bytes and not lacks:
        found.append(
            Finding(
                "prompt-cache", "warning", f"a full prompt cache ({mib(memory.host.prompt_cache_bytes)}) would not fit in RAM"
            )
        )
    fits = not any(f.severity == "error" for f in found)
    return Described(model, machine, margins, build, flags, assignment, memory, fits, tuple(found), fa_quants)


def _split_mode(flags: ServerFlags) -> list[Finding]:
    if flags.split_mode in ("row", "tensor"):
        return [
            Finding("split-mode", "error", f"-sm {flags.split_mode} splits tensors across devices, which kvtui does not estimate")
        ]
    return []
