"""The same figures for people: plain text of the command line. Callers make it printable."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kvtui.base.clock import as_measured
from kvtui.base.shell import shell_line, shell_word
from kvtui.base.sizes import MIB, amount, gib, mib
from kvtui.hardware.device import CPU, HostMemory, Machine
from kvtui.hardware.holders import NOBODY, HeldNow, Holder
from kvtui.hardware.probe import Inventory
from kvtui.header.address import ModelAddress
from kvtui.memory.amounts import Estimate
from kvtui.memory.described import Described
from kvtui.memory.device_notes import assumed
from kvtui.memory.fits import RAM
from kvtui.memory.remembered import remembered
from kvtui.placement.plan import Optimality, Plan
from kvtui.placement.speed import Speed
from kvtui.report.columns import NONE
from kvtui.report.configuration import configuration, configuration_lines
from kvtui.report.parts import IN_TEXT, beside_lines, values
from kvtui.report.simulated import simulated_lines

_NAME = 8  # columns of a device's name
_COLUMNS = (*((part.heading, part.width) for part in IN_TEXT), ("free", 10), ("margin", 8))


def memory_lines(machine: Machine, margins: Sequence[int], memory: Estimate) -> list[str]:
    """A table of devices and RAM, MiB."""
    lines = [f"{'':{_NAME}}" + "".join(f"{heading:>{width}}" for heading, width in _COLUMNS)]
    for device, margin, use in zip(machine.devices, margins, memory.devices, strict=True):
        lines.append(_row(device.name, [*values(use, IN_TEXT).values(), device.free_bytes, margin]))
    lines.append(_row(RAM, [*values(memory.host, IN_TEXT).values(), machine.ram.free_bytes]))
    names = {CPU: RAM, **dict(enumerate(d.name for d in machine.devices))}
    experts = [(names[i], use.expert_cache_bytes) for i, use in enumerate(memory.devices) if use.expert_cache_bytes]
    unit = "; ".join(["all in MiB", *simulated_lines(machine)])
    lines += [unit, *(f"expert cache on {name}: {mib(n_bytes)}" for name, n_bytes in experts)]
    return [*lines, *beside_lines(machine, memory)]


def _row(name: str, sizes: Sequence[int]) -> str:
    return f"{name:{_NAME}}" + "".join(f"{n / MIB:>{width},.0f}" for n, (_, width) in zip(sizes, _COLUMNS, strict=False))


def plan_lines(plan: Plan, address: ModelAddress, *, explain: bool) -> list[str]:
    """A plan: memory, speed, findings, and the command."""
    request = plan.request
    context = request.context
    lines = [
        f"{request.model.name}  {request.model.architecture}  {gib(request.model.weights_bytes)}",
        f"{context.n_ctx:,} tokens, {context.type_k}/{context.type_v}, {context.slots} slots, {request.build}",
        "",
        *memory_lines(request.machine, request.margin_bytes, plan.estimate),
        "",
    ]
    if plan.speed is not None:
        lines.append(speed_line(plan.speed))
        lines.append(_proof(plan.optimality))
    lines += [f"{f.severity}: {f.message}" for f in plan.findings]
    if explain:
        from kvtui.report.formulas import explain_lines
        from kvtui.report.peaks import peak_lines, plan_peaks

        lines += ["", *explain_lines(request.model, context, request.beside.flags), *peak_lines(plan_peaks(plan))]
    lines += ["", *configuration_lines(configuration(plan))]
    env = "".join(f"{k}={shell_word(v)} " for k, v in plan.env)
    lines += ["", env + shell_line(["llama-server", *address.flags, *plan.argv])]
    return lines


def speed_line(speed: Speed) -> str:
    """The range, what is expected, and what of it was measured here."""
    expected = f"{speed.tokens_per_second:.3g} expected at full context, {speed.tokens_per_second_empty:.3g} at an empty one"
    prompt = f"prompts {'at most ' if speed.prompt_at_most else ''}{speed.prompt_tokens_per_second:,.0f} ({speed.prompt_bound})"
    prompt += as_measured(speed.prompt_measured_at)
    here = as_measured(speed.measured_at)
    return f"{speed.low:.3g} to {speed.high:.3g} tokens a second{here}: {expected}; {prompt}"


def _proof(optimality: Optimality) -> str:
    """How good it is, in words."""
    reading = f"reading {optimality.gap:.2%} above what memory cut to any size would allow"
    if optimality.proven:
        return f"no placement is faster; {reading}"
    return reading if optimality.remaining is None else f"no placement is more than {optimality.remaining:.2%} faster; {reading}"


def estimate_lines(described: Described, path: str, speed: Speed | None, *, explain: bool) -> list[str]:
    """What exact flags take."""
    lines = [
        f"{described.model.name}  {described.model.architecture}  {described.build}  {path}",
        "",
        *memory_lines(described.machine, described.margins, described.estimate),
        f"compute buffers: {described.estimate.basis}",
        *([] if speed is None else [speed_line(speed)]),
    ]
    if explain:
        from kvtui.report.formulas import explain_lines
        from kvtui.report.peaks import described_peaks, peak_lines

        flags = described.flags
        lines += ["", *explain_lines(described.model, flags.context, flags.beside), *peak_lines(described_peaks(described))]
    return lines + [f"{f.severity}: {f.message}" for f in described.findings]


def holders_text(holders: Sequence[Holder], ours: Collection[int]) -> str:
    """`llama-server 20.1 GiB (ours, pid 4711), Xorg 312 MiB (pid 900)`."""
    return ", ".join(
        " ".join(
            filter(None, (h.name, amount(h.used_bytes) if h.used_bytes else "", f"({'ours, ' * (h.pid in ours)}pid {h.pid})"))
        )
        for h in holders
    )


def inventory_lines(found: Inventory, held: HeldNow = NOBODY) -> list[str]:
    """Devices and who is on them, what is there and can't be planned for, and RAM."""
    lines = [] if found.problem is None else [found.problem]
    lines += [f"NVIDIA driver {held.driver}"] if held.driver else []
    for i, d in enumerate(found.machine.devices):
        rate = f"{d.bandwidth / 1e9:,.0f} GB/s ({d.bandwidth_source})" if d.bandwidth else "bandwidth N/A"
        rate += f", link {d.link / 1e9:,.1f} GB/s" if d.link else ""
        pool = (
            (f", also listed as {', '.join(d.also)}" if d.also else "")
            + (", one pool with RAM" if d.shared else "")
            + (", draws the desktop" if d.display else "")
        )
        lines.append(f"{d.name:8} {d.description:32} {gib(d.free_bytes)} free of {gib(d.total_bytes)}, {rate}{pool}")
        lines += [f"{'':8} {holders_text(held.on(i), held.ours)}"] if held.on(i) else []
    lines += [f"note: {f.message}" for f in (*remembered(found.machine), *assumed(found.machine))]
    lines += [f"{u.name or '-':8} {u.description:32} {u.reason}" for u in found.machine.unusable]
    lines.append(_ram_line(found.machine.ram))
    if len(found.nodes) > 1:
        for n in found.nodes:
            kind = "" if n.has_cpus else "memory alone"
            lines.append(f"{f'NUMA {n.number}':8} {kind:32} {gib(n.free_bytes)} free of {gib(n.total_bytes)}")
    if found.swap.total_bytes:
        lines.append(f"{'swap':8} {'':32} {gib(found.swap.free_bytes)} free of {gib(found.swap.total_bytes)}")
    return lines


def _ram_line(ram: HostMemory) -> str:
    rate = f", {ram.bandwidth / 1e9:,.0f} GB/s ({ram.bandwidth_source})" if ram.bandwidth else ""
    return f"{'RAM':8} {'':32} {gib(ram.free_bytes)} free of {gib(ram.total_bytes)}{rate}"


def verify_lines(verified: Mapping[str, Any]) -> list[str]:
    """Predicted beside the server's own dry run, and beside what it took where it ran here, MiB."""
    if verified["refused"] or verified["impossible"]:
        return [f"llama-server: {verified['refused'] or verified['impossible']}"]
    kinds = ["predicted", "dry_run"] + (["actual"] if any(row["actual"] for row in verified["devices"]) else [])
    said = " | ".join(kind.replace("_", " ") for kind in kinds)
    lines = [f"{verified['server']['path']}  {verified['server']['build']}  {verified['seconds']:.2f} s", ""]
    lines.append(f"{'':10}{'model':>26}{'context':>26}{'compute':>26}   {said}, MiB")
    for row in verified["devices"]:
        cells = [" | ".join(_mib_of(row[kind], part) for kind in kinds) for part in ("model", "context", "compute")]
        lines.append(f"{row['name']:10}" + "".join(f"{c:>26}" for c in cells))
    apart = [row for row in verified["devices"] if _mib_of(row["predicted"], "compute") != _derived(row)]
    if apart:
        own = ", ".join(f"{row['name']} {_derived(row)}" for row in apart)
        lines.append(f"a dry run's own compute by the same derivation, which no load takes: {own}")
    if verified["proven_here"]:
        lines.append("proven here: it lived through a prompt to its slots' limit")
    return lines + [f"{f['severity']}: {f['message']}" for f in verified["findings"]]


def _derived(row: Mapping[str, Any]) -> str:
    """What a dry run should say of compute; as predicted where that cannot be told."""
    value = row["derived_dry_run_compute"]
    return _mib_of(row["predicted"] if value is None else {"compute": value}, "compute")


def _mib_of(parts: Mapping[str, Any] | None, part: str) -> str:
    value = parts[part] if parts else None
    return NONE if value is None else f"{value / 2**20:,.0f}"
