"""The same figures for people: plain text of the command line. Callers make it printable."""

from collections.abc import Mapping, Sequence
from typing import Any

from kvtui.base.shell import shell_line, shell_word
from kvtui.base.sizes import gib, mib
from kvtui.hardware.device import HostMemory, Machine
from kvtui.header.address import ModelAddress
from kvtui.memory.described import Described
from kvtui.memory.estimate import Estimate
from kvtui.placement.plan import Optimality, Plan
from kvtui.placement.table import PairRow

_DASH = "-"


def memory_lines(machine: Machine, margins: Sequence[int], memory: Estimate) -> list[str]:
    """A table of devices and RAM, MiB."""
    head = f"{'':8}{'weights':>10}{'K/V':>9}{'state':>8}{'compute':>9}{'used':>10}{'free':>10}{'margin':>8}"
    lines = [head]
    for device, margin, use in zip(machine.devices, margins, memory.devices, strict=True):
        parts = (use.weights_bytes, use.cache_bytes, use.recurrent_bytes, use.compute_bytes, use.used_bytes)
        lines.append(_row(device.name, [*parts, device.free_bytes, margin]))
    host = memory.host
    parts = (host.weights_bytes, host.cache_bytes, host.recurrent_bytes, host.compute_bytes, host.used_bytes)
    lines.append(_row("RAM", [*parts, machine.ram.free_bytes]))
    return [*lines, "all in MiB"]


def _row(name: str, values: Sequence[int]) -> str:
    widths = (10, 9, 8, 9, 10, 10, 8)
    return f"{name:8}" + "".join(f"{v / 2**20:>{w},.0f}" for v, w in zip(values, widths, strict=False))


def plan_lines(plan: Plan, address: ModelAddress) -> list[str]:
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
        lines.append(f"{plan.speed.low:.1f} to {plan.speed.high:.1f} tokens a second, by bandwidth (full to empty context)")
        lines.append(_proof(plan.optimality))
    lines += [f"{f.severity}: {f.message}" for f in plan.findings]
    env = "".join(f"{k}={shell_word(v)} " for k, v in plan.env)
    lines += ["", env + shell_line(["llama-server", *address.flags, *plan.argv])]
    return lines


def _proof(optimality: Optimality) -> str:
    """How good it is, in words."""
    reading = f"reading {optimality.gap:.2%} above what memory cut to any size would allow"
    if optimality.proven:
        return f"no placement is faster; {reading}"
    return reading if optimality.remaining is None else f"no placement is more than {optimality.remaining:.2%} faster; {reading}"


def estimate_lines(described: Described, path: str, *, explain: bool) -> list[str]:
    """What exact flags take."""
    lines = [
        f"{described.model.name}  {described.model.architecture}  {described.build}  {path}",
        "",
        *memory_lines(described.machine, described.margins, described.estimate),
        f"compute buffers: {described.estimate.basis}",
    ]
    if explain:
        from kvtui.report.formulas import explain_lines

        lines += ["", *explain_lines(described.model, described.flags.context)]
    return lines + [f"{f.severity}: {f.message}" for f in described.findings]


def _tokens(value: int | None) -> str:
    return f"{value:,}" if value else _DASH


def table_lines(rows: Sequence[PairRow], *, markdown: bool) -> list[str]:
    """One line a pair."""
    heads = ("K", "V", "cache", "saved", "most ctx", "all on GPU", "tok/s", "runs", "quality")
    cells = [
        (
            r.type_k,
            r.type_v,
            mib(r.cache_bytes),
            f"{r.saved_fraction:.1%}",
            _tokens(r.max_context),
            _tokens(r.max_context_gpu),
            f"{r.tokens_per_second:.1f}" if r.tokens_per_second else _DASH,
            r.runs if r.accepted else "refused",
            r.quality.label,
        )
        for r in rows
    ]
    if markdown:
        table = [heads, tuple("---" for _ in heads), *cells]
        return [f"| {' | '.join(row)} |" for row in table]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    return [
        "  ".join(c.rjust(w) if 2 <= i <= 6 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in [heads, *cells]
    ]


def machine_lines(machine: Machine, problem: str | None) -> list[str]:
    """Devices and RAM."""
    lines = [] if problem is None else [problem]
    for d in machine.devices:
        rate = f"{d.bandwidth / 1e9:,.0f} GB/s ({d.bandwidth_source})" if d.bandwidth else "bandwidth N/A"
        lines.append(f"{d.name:8} {d.description:32} {gib(d.free_bytes)} free of {gib(d.total_bytes)}, {rate}")
    return [*lines, _ram_line(machine.ram)]


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
    if verified["proven_here"]:
        lines.append("proven here: it lived through a prompt to its slots' limit")
    return lines


def _mib_of(parts: Mapping[str, Any] | None, part: str) -> str:
    value = parts[part] if parts else None
    return _DASH if value is None else f"{value / 2**20:,.0f}"
