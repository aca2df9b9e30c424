"""Pages over the panes: the command, and where the figures come from."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.base.shell import shell_line, shell_word
from kvtui.base.sizes import MIB, mib
from kvtui.flags.patterns import compiled
from kvtui.tui.keys.command import EVERYWHERE, PAGE, PANE_NAMES, Command, shown_key
from kvtui.tui.lines import Line, line
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.report.formulas import explain_lines
    from kvtui.report.peaks import Peaks, largest_first
else:  # not needed by the first screen
    explain_lines = Late("kvtui.report.formulas", "explain_lines")
    largest_first = Late("kvtui.report.peaks", "largest_first")


def command_text(plan: "Plan", model_flags: Sequence[str]) -> str:
    """The command as a shell takes it, fit for a terminal whatever is in the file's name."""
    env = "".join(f"{k}={shell_word(v)} " for k, v in plan.env)
    return env + shell_line(["llama-server", *model_flags, *plan.argv])


def plan_command(state: State, width: int) -> list[Line]:
    """The command of the plan on the screen, folded between its words."""
    if state.plan is None:
        return []
    text = command_text(state.plan, state.model_flags)
    parts = textwrap.wrap(text, max(width - 4, 20), break_on_hyphens=False, break_long_words=True)
    return [line(f" {'  ' if i else ''}{part}") for i, part in enumerate(parts)]


def command_page(plan: "Plan", model_flags: Sequence[str], width: int) -> tuple[Line, ...]:
    """The command, folded, and what each override matches."""
    text = command_text(plan, model_flags)
    step = max(width - 4, 20)
    lines = [line(f"  {text[i : i + step]}") for i in range(0, len(text), step)]
    lines.append(line(""))
    tensors = plan.request.model.tensors
    taken: set[int] = set()
    for override in plan.overrides:
        pattern = compiled(override.pattern)
        matched = [t for t in tensors if t.index not in taken and pattern.search(t.name)]
        taken |= {t.index for t in matched}
        style = "text" if matched else "warning"
        size = mib(sum(t.n_bytes for t in matched))
        lines.append(line((f"  {override.pattern}", style), (f"  {len(matched)} tensors, {size} to {override.buffer}", "dim")))
    return tuple(lines)


def explain_page(state: State, width: int, peaks: "Peaks | None" = None) -> tuple[Line, ...]:
    """Formulas of the cache, the basis of the compute figures, the server's own where it runs, and what is alive at each
    peak; `peaks`: None while a worker derives them."""
    formulas = explain_lines(state.request.model, state.request.context, state.request.beside.flags)
    folded = (part for text in formulas for part in textwrap.wrap(text, max(width - 6, 20), subsequent_indent="    "))
    lines = [line(f"  {part}") for part in folded]
    if state.plan is not None:
        lines += [line(""), line(f"  compute buffers: {state.plan.estimate.basis}"), line("")]
        header = f"  {'':10}{'weights':>22}{'K/V and state':>22}{'compute':>20}"
        lines.append(line((header, "dim")))
        actual = {name: (model, context, compute) for name, model, context, compute in state.server.actual}
        for device, use in zip(state.request.machine.devices, state.plan.estimate.devices, strict=True):
            seen = actual.get(device.name)
            parts = (use.weights_bytes, use.context_bytes, use.compute_bytes)
            lines.append(line(f"  {device.name:10}" + _beside(parts, seen)))
        host = state.plan.estimate.host
        parts = (host.weights_bytes, host.context_bytes, host.compute_bytes)
        lines.append(line(f"  {'RAM':10}" + _beside(parts, actual.get("RAM"))))
        lines.append(line(("  predicted, and what the running server says of itself, in MiB", "dim")))
        lines += [line(""), *_peaks(peaks)]
    return tuple(lines)


def _peaks(peaks: "Peaks | None") -> list[Line]:
    if peaks is None:
        return [line(("  what is alive when a compute buffer is largest: being derived", "dim"))]
    if not peaks:
        return [line(("  what is alive when a compute buffer is largest: not known, formulas had to do", "dim"))]
    lines = [line("  what is alive when a compute buffer is largest, in MiB")]
    for name, terms in peaks:
        parts, rest = largest_first(terms)
        lines.append(line((f"  {name:10}{sum(t.n_bytes for t in terms) / MIB:>9,.1f}", "strong")))
        for term in parts:
            copies = f", {term.count} times" if term.count > 1 else ""
            lines.append(line(f"  {'':10}{term.n_bytes / MIB:>9,.1f}  {term.name}{copies}"))
        if rest:
            lines.append(line((f"  {'':10}{rest / MIB:>9,.1f}  others", "dim")))
    return lines


def _beside(predicted: tuple[int, int, int], actual: tuple[int | None, int, int] | None) -> str:
    widths = (22, 22, 20)
    cells = []
    for i, width in enumerate(widths):
        text = f"{predicted[i] / MIB:,.0f}"
        if actual is not None:
            found = actual[i]
            text += " | mapped" if found is None else f" | {found / MIB:,.0f}"
        cells.append(f"{text:>{width}}")
    return "".join(cells)


def help_page(commands: Sequence[Command], pane: str) -> tuple[Line, ...]:
    """All keys that act on the panes, with what they do: those of the pane in focus first."""
    homes = [c.named_in or c.pane for c in commands]
    order = dict.fromkeys((pane, EVERYWHERE, *homes))
    lines: list[Line] = []
    for home in order:
        there = [c for c, h in zip(commands, homes, strict=True) if h == home]
        if there and home != PAGE:
            lines.append(line((f"  {PANE_NAMES[home]}", "title")))
            lines += [line((f"  {shown_key(c):6}", "key"), (f"{c.name:22}", "strong"), c.help) for c in there]
    return tuple(lines)
