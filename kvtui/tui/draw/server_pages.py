"""Pages about a server: how it ended, what it is, predicted beside actual, its answers. Lines, no widgets."""

import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kvtui.base.shell import shell_line
from kvtui.base.sizes import mib
from kvtui.base.text import printable
from kvtui.tui.lines import Line, line

if TYPE_CHECKING:
    from kvtui.server.binary.environment import ConfigFile
    from kvtui.server.http.stress import StressResult
    from kvtui.server.measure.comparison import Row
    from kvtui.server.process.record import Ended, ServerRecord

_INDENT = "  "
_HEADS = ("model", "context", "compute", "held", "rest")
_KIND, _LEAST_CELL, _MOST_CELL = 10, 8, 12  # columns of predicted, dry run, actual, and of a figure


def folded(text: str, width: int, style: str = "text", indent: str = _INDENT) -> list[Line]:
    """A text of any length, within the width."""
    room = max(width - len(indent) - 2, 20)
    return [line((f"{indent}{part}", style)) for part in textwrap.wrap(printable(text), room, break_on_hyphens=False) or [""]]


def started_at(record: "ServerRecord") -> str:
    """Local time of a launch; with its day if that is another."""
    at = time.localtime(record.launched_at)
    same = time.strftime("%Y%j", at) == time.strftime("%Y%j")
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", at)


def ended_page(record: "ServerRecord", ended: "Ended", width: int) -> tuple[Line, ...]:
    """Exit code, plain reason, its last telling lines, and where all of them are."""
    lines = folded(ended.reason or "it ended by itself, without an error", width, "error")
    lines += [line(""), line(("  exit      ", "dim"), exit_text(ended)), line(("  started   ", "dim"), started_at(record))]
    lines += [line(("  model     ", "dim"), record.model), line(("  log       ", "dim"), str(record.log)), line("")]
    if ended.telling:
        lines.append(line(("  its last telling lines", "dim")))
        for text in ended.telling:
            lines += folded(text, width, indent="    ")
    return tuple(lines)


def exit_text(ended: "Ended") -> str:
    """The exit code or signal."""
    if ended.exit_code is None:
        return "nobody was there to see its exit code"
    return f"signal {-ended.exit_code}" if ended.exit_code < 0 else f"code {ended.exit_code}"


def ended_text(ended: "Ended") -> str:
    """How it ended, for the status line."""
    if ended.stopped or ended.exit_code == 0:
        return "stopped"
    if ended.exit_code is None:
        return f"ended: {ended.reason}"
    code = f"signal {-ended.exit_code}" if ended.exit_code < 0 else f"exit code {ended.exit_code}"
    return f"ended ({code}): {ended.reason}"


def about_page(record: "ServerRecord", config: Iterable["ConfigFile"], key: bool, width: int) -> tuple[Line, ...]:
    """A launch: address, pid, build, command, notes, and the config files that it reads by itself."""
    rows = (
        ("address", record.url),
        ("pid", f"{record.pid}, since {started_at(record)}"),
        ("program", f"{record.binary} {record.build}"),
        ("model", record.model),
        ("log", str(record.log)),
        ("API key", f"in {record.key_file}" if key else "none: it listens on this machine only"),
    )
    lines = [line((f"  {name:10}", "dim"), text) for name, text in rows]
    lines.append(line(""))
    lines += folded(shell_line(record.command), width)
    for note in record.notes:
        lines += folded(note, width, "warning")
    lines.append(line(""))
    found = list(config)
    if not found:
        lines.append(line(("  no config file of llama-server's own", "dim")))
    for file in found:
        lines += folded(
            file.problem or f"{file.path} is read by llama-server itself; the plan's flags win over it:", width, "warning"
        )
        lines += [line(f"    {key} = {value}") for key, value in file.settings]
    return tuple(lines)


def _cells(values: Sequence[int | None], size: int) -> str:
    return "".join(f"{'-' if v is None else f'{v / 2**20:,.0f}':>{size}}" for v in values)


def comparison_page(rows: Sequence["Row"], notes: Sequence[str], width: int) -> tuple[Line, ...]:
    """Three lines a device: predicted, the dry run, actual; MiB."""
    label = max([len(row.name) for row in rows] + [len("MiB")]) + 1
    size = max(_LEAST_CELL, min((width - 4 - label - _KIND) // len(_HEADS), _MOST_CELL))  # inside the page's frame
    heads = "".join(f"{h:>{size}}" for h in _HEADS)
    lines = [line((f"  {'MiB':{label}}{'':{_KIND}}{heads}", "dim"))]
    for row in rows:
        name = row.name
        for kind, parts in (("predicted", row.predicted), ("dry run", row.dry_run)):
            if parts is not None:
                lines.append(
                    line(
                        (f"  {name:{label}}", "strong"),
                        f"{kind:{_KIND}}{_cells((parts.model, parts.context, parts.compute), size)}",
                    )
                )
                name = ""
        if row.actual is not None:
            took = row.actual
            values = (took.model, took.context, took.compute, took.held, took.rest)
            lines.append(line((f"  {name:{label}}", "strong"), (f"{'actual':{_KIND}}{_cells(values, size)}", "accent")))
    lines.append(line(""))
    for note in notes:
        lines += folded(note, width, "dim")
    return tuple(lines)


def stress_page(result: "StressResult", width: int) -> tuple[Line, ...]:
    """What came of a long prompt."""
    if result.passed:
        slots = f"{result.slots} slot{'s' if result.slots > 1 else ''}"
        rate = f"in {result.seconds:.1f} s, {result.prompt_rate:,.0f} tokens a second"
        lines = folded(f"it lived: {slots}, {result.prompt_tokens:,} prompt tokens {rate}. This plan is proven here.", width)
    else:
        lines = folded(f"it did not pass: {result.problem}", width, "error")
    lines.append(line(""))
    lines += [line((f"  {name:8}", "strong"), f"peak {mib(n)}") for name, n in result.peak_bytes.items()]
    return tuple(lines)


def answer_page(prompt: str, text: str, said: str, width: int) -> tuple[Line, ...]:
    """A prompt and what the server makes of it."""
    lines = [*folded(prompt, width, "dim"), line("")]
    for part in text.splitlines() or [""]:
        lines += folded(part, width)
    return (*lines, line(""), line((f"  {said}", "dim")))
