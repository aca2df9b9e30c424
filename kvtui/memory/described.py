"""What exact flags of llama-server would allocate, with findings: the value behind `kvtui estimate`."""

from dataclasses import dataclass, field, replace

from kvtui.base.build import Build
from kvtui.base.findings import DOES_NOT_FIT, Finding
from kvtui.base.sizes import MIB, mib
from kvtui.cache.layout import cache_layout
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import Machine
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside import Beside, BesideModel
from kvtui.memory.compute import ComputeModel
from kvtui.memory.corrections import NOTHING, Learned
from kvtui.memory.device_notes import device_notes
from kvtui.memory.estimate import Estimate, estimate
from kvtui.memory.expert_cache import expert_cache_findings
from kvtui.memory.fits import capacities, lacking
from kvtui.memory.flag_changes import FlagChanges, ncmoe_order
from kvtui.memory.lacks import lack_sentences, nothing_mends
from kvtui.memory.large_work import too_large_to_compute
from kvtui.memory.left_to_cpu import left_to_cpu
from kvtui.memory.one_buffer import one_buffer_findings
from kvtui.memory.ram_notes import ram_notes
from kvtui.memory.refusals import refusals
from kvtui.memory.standing import standing_of
from kvtui.model.spec import ModelSpec


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

    def taken(asked: ServerFlags) -> tuple[Assignment, BesideModel, Estimate]:
        where = assign(model, asked, machine)
        whole = replace(beside or Beside(), flags=asked.beside)
        others = BesideModel(whole, model, asked.context, machine, build, main=asked, fa_quants=fa_quants)
        memory = estimate(
            model,
            asked.context,
            where,
            machine,
            build,
            compute=ComputeModel(model, asked.context, machine, build, fa_quants=fa_quants),
            cache_ram_bytes=max(asked.cache_ram_mib, 0) * MIB,
            checkpoints=max(asked.checkpoints, 0),
            learned=Learned(overhead_bytes=learned.overhead_bytes),
            beside=others,
        )
        return where, others, memory

    def trial(asked: ServerFlags) -> tuple[Assignment, Estimate, int]:
        where, _, memory = taken(asked)
        return where, memory, sum(x.n_bytes for x in lacking(machine, limits, memory))

    limits = capacities(machine, margins)
    assignment, others, memory = taken(flags)
    found = list(refusals(model, flags.context, build))
    found += _split_mode(flags)
    found += others.findings
    layout = cache_layout(model, flags.context)
    found += one_buffer_findings(model, layout, assignment, machine.devices, offload_kqv=flags.context.offload_kqv)
    compute = ComputeModel(model, flags.context, machine, build, fa_quants=fa_quants)
    found += too_large_to_compute(compute, assignment, memory.devices, machine.devices)
    found += left_to_cpu(model, assignment, machine.devices)
    found += expert_cache_findings(model, assignment, machine, flags.context.expert_cache_mib)
    found += standing_of(model, build)
    order = ncmoe_order(model, machine, flags, assignment)
    found += [order] if order is not None else []
    lacks = lacking(machine, limits, memory)
    if lacks:
        kept = dict(zip([d.name for d in machine.devices], margins, strict=True))
        causes = "; ".join(lack_sentences(machine, kept, lacks, memory))
        remedies = FlagChanges(model, machine, build, limits, trial).that_fit(flags)
        mends = f"{', or '.join(remedies)} would make it fit" if remedies else nothing_mends(sum(x.n_bytes for x in lacks))
        found.append(Finding(DOES_NOT_FIT, "error", f"does not fit: {causes}; {mends}"))
    if memory.host.used_bytes + memory.host.prompt_cache_bytes > machine.ram.free_bytes and not lacks:
        found.append(
            Finding(
                "prompt-cache", "warning", f"a full prompt cache ({mib(memory.host.prompt_cache_bytes)}) would not fit in RAM"
            )
        )
    found += device_notes(machine)
    found += ram_notes(machine.ram, memory.host, model.weights_bytes, flags.load_mode)
    fits = not any(f.severity == "error" for f in found)
    return Described(model, machine, margins, build, flags, assignment, memory, fits, tuple(found), fa_quants)


def _split_mode(flags: ServerFlags) -> list[Finding]:
    if flags.split_mode in ("row", "tensor"):
        return [
            Finding("split-mode", "error", f"-sm {flags.split_mode} splits tensors across devices, which kvtui does not estimate")
        ]
    return []
