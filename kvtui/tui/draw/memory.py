"""What each device and RAM will hold: a bar, the figures, the last minute, and what a running server took."""

from collections.abc import Mapping
from dataclasses import dataclass

from kvtui.base.sizes import GIB, MIB, amount
from kvtui.memory.device_notes import missed
from kvtui.memory.estimate import DeviceMemory, HostUse
from kvtui.tui.draw.amounts import share, short_card
from kvtui.tui.draw.bars import bar, legend, sparkline
from kvtui.tui.draw.on_card import card_lines
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, fit, line, window
from kvtui.tui.state import HISTORY_SAMPLES, State

_NARROW, _WIDE = 72, 108  # columns inside from which figures are whole, and from which there is more than them
_BESIDE = 37  # columns of predicted | actual
_MAPPED = "+ mapped "  # weights that no figure of either side counts: the server maps its file, and RAM gives them back
_SELF_EVIDENT = ("other", "growth", "beside")
_SPARK_STEP = 2  # samples a column: a minute takes 20
_NOTHING = DeviceMemory(0, 0, 0, 0)


@dataclass(frozen=True)
class _Row:
    """A device or RAM, in bytes."""

    name: str
    about: str
    total: int
    used: int
    over: int  # more than it may hold; 0 or less: it fits
    live: int | None
    note: str
    parts: Mapping[str, int]


def memory_rows(state: State) -> list[_Row]:
    """Devices, RAM last."""
    devices = range(len(state.request.machine.devices))
    return [*(_device_row(state, i) for i in devices), _ram_row(state)]


def memory_legends(state: State, room: Room) -> tuple[Line, ...]:
    """The segments that some bar has; then, for less room, those that a person asks about least left out."""
    present = {name for row in memory_rows(state) for name, size in row.parts.items() if size > 0}
    return tuple(legend(tuple(present - set(_SELF_EVIDENT[:n])), room.solid) for n in range(len(_SELF_EVIDENT) + 1))


def memory_lines(state: State, room: Room) -> list[Line]:
    """A line a device, where there is room with another for who is on it; a fold of those that have no room, RAM always there."""
    rows = memory_rows(state)
    lines: list[Line] = []
    if state.problem:
        alone = len(rows) == 1
        lines.append(line((f" {state.problem}{': everything goes to RAM' if alone else ''}", "dim" if alone else "warning")))
    widths = _Widths.of(rows, state, room)
    places = max(room.height - len(lines), 1)
    out = left_out_lines(state)
    if len(rows) + len(out) <= places:
        places -= len(out)
    else:
        out = []
    beside = card_lines(state, room)
    if len(rows) + sum(map(len, beside.values())) > places:
        beside = {}
    if len(rows) <= places:
        for i, row in enumerate(rows):
            lines += [_line(state, i, row, widths, room), *beside.get(i, ()), *(out if i == len(rows) - 2 else ())]
        return lines if len(rows) > 1 else [*lines, *out]
    shown = window(len(rows) - 1, max(places - 2, 0), 0)
    lines += [_line(state, i, rows[i], widths, room) for i in shown]
    folded = rows[len(shown) : -1]
    if places > 1:
        lines.append(line((f" {_folded(folded)}", "dim")))
    return [*lines, _line(state, len(rows) - 1, rows[-1], widths, room)]


def left_out_lines(state: State) -> list[Line]:
    """A line a card that is here and can't be used, with why."""
    return [line((f" {u.name or '-'} {short_card(u.description)}: {u.reason}", "dim")) for u in missed(state.request.machine)]


def _folded(rows: list[_Row]) -> str:
    used, total = sum(r.used for r in rows), sum(r.total for r in rows)
    over = sum(r.over > 0 for r in rows)
    fits = f", {over} over" if over else ""
    return f"{rows[0].name} to {rows[-1].name}: {len(rows)} more, {share(used, total)} {used / max(total, 1):.0%}{fits}"


@dataclass(frozen=True)
class _Widths:
    label: int
    figures: int
    note: int
    spark: int
    actual: int

    @classmethod
    def of(cls, rows: list[_Row], state: State, room: Room) -> "_Widths":
        """Columns of each part; the bar takes the rest."""
        wide = room.width >= _WIDE
        names = max(len(f" {r.name} {r.about} ") for r in rows)
        figures = max(len(share(r.used, r.total)) for r in rows) + 7
        return cls(
            label=min(names, 40 if wide else 17) if room.width >= _NARROW else max(len(r.name) for r in rows) + 2,
            figures=figures,
            note=max((len(r.note) + 1 for r in rows if r.note), default=0) if room.width >= _NARROW else 0,
            spark=HISTORY_SAMPLES // _SPARK_STEP + 2 if wide and state.history else 0,
            actual=_actual_width(state) if wide else 0,
        )


def _line(state: State, i: int, row: _Row, widths: _Widths, room: Room) -> Line:
    name = f" {row.name} {row.about}" if room.width >= _NARROW else f" {row.name}"
    rest = widths.label + widths.figures + widths.note + widths.spark + widths.actual
    total = max(row.total, row.used, 1)
    drawn = bar(row.parts, total, max(room.width - rest, 6), room.solid, row.live, row.over > 0)
    figures = f" {share(row.used, row.total)} "
    end: Span = (f"{row.used / max(row.total, 1):4.0%} ", "text")
    if row.over > 0:
        figures, end = f" over by {amount(row.over)} ", ("", "error")
    content: list[Span] = [*fit(line(name), widths.label), *drawn]
    content += fit(line((figures.rjust(widths.figures - len(end[0])), "error" if row.over > 0 else "text"), end), widths.figures)
    if widths.note:
        content += fit(line(row.note.rjust(widths.note - 1)), widths.note)
    if widths.spark:
        samples = [sample[i] for sample in state.history if i < len(sample)]
        text = sparkline(samples, state.polls - len(samples), row.total, widths.spark - 2, _SPARK_STEP, room.unicode)
        content += line((f" {text} ", "live"))
    if widths.actual:
        content += _beside(state, row.name, widths.actual)
    return tuple(content)


def _actual_width(state: State) -> int:
    if not state.server.actual or not state.server.predicted:
        return 0
    return _BESIDE + (len(_MAPPED) if any(model is None for _, model, _, _ in state.server.actual) else 0)


def _beside(state: State, name: str, width: int) -> tuple[Span, ...]:
    """`predicted 22.1 | actual 22.3 GiB`, of the running server's own plan. Both sides without weights that are mapped."""
    expected = next((parts for n, *parts in state.server.predicted if n == name), None)
    found = next((parts for n, *parts in state.server.actual if n == name), None)
    if expected is None or found is None:
        return ((" " * width, "text"),)
    mapped = found[0] is None
    predicted, actual = (sum(n or 0 for n in parts[mapped:]) for parts in (expected, found))
    unit = GIB if max(predicted, actual) >= GIB else MIB
    text = f"{predicted / unit:,.2f}" if unit == GIB else f"{predicted / unit:,.0f}"
    took = f"{actual / unit:,.2f} GiB" if unit == GIB else f"{actual / unit:,.0f} MiB"
    said = line(("predicted ", "dim"), f"{text:>6}", (" | actual ", "dim"), (f"{took:>10}", "accent"))
    return fit((*said, *line((f" {_MAPPED}" if mapped and expected[0] else "", "dim"))), width)


def _device_row(state: State, i: int) -> _Row:
    device, plan = state.request.machine.devices[i], state.plan
    live = state.live[i] if i < len(state.live) - 1 else None
    others = live.used_bytes if live and not state.server.running else device.total_bytes - device.free_bytes
    use = plan.estimate.devices[i] if plan and i < len(plan.estimate.devices) else _NOTHING
    left = max(device.total_bytes - others - use.used_bytes, 0)
    margin = min(state.request.margin_bytes[i], left)
    over = use.used_bytes - (device.free_bytes - state.request.margin_bytes[i])
    growth = min(use.growth_bytes, left - margin)
    parts = {**_parts(use), "other": others, "overhead": use.overhead_bytes, "growth": growth}
    parts |= {"free": left - margin - growth, "margin": margin}
    return _Row(
        device.name,
        short_card(device.description),
        device.total_bytes,
        others + use.used_bytes,
        over if use.used_bytes else 0,
        live.used_bytes if live and state.server.running else None,  # else it is where `others` ends
        " ".join(filter(None, ("preferred" if device.name == state.request.preferred else "", live.note if live else ""))),
        parts,
    )


def _ram_row(state: State) -> _Row:
    ram, plan = state.request.machine.ram, state.plan
    host = plan.estimate.host if plan else HostUse(0, 0, 0, 0)
    live = state.live[-1] if state.live else None
    others = live.used_bytes if live and not state.server.running else ram.total_bytes - ram.free_bytes
    left = max(ram.total_bytes - others - host.used_bytes, 0)
    growth = min(host.prompt_cache_bytes + host.checkpoint_bytes, left)
    parts = {**_parts(host), "other": others, "growth": growth, "free": left - growth}
    used = others + host.used_bytes
    mark = live.used_bytes if live and state.server.running else None
    return _Row("RAM", "", ram.total_bytes, used, host.used_bytes - ram.free_bytes, mark, "", parts)


def _parts(use: DeviceMemory | HostUse) -> dict[str, int]:
    cache = use.cache_bytes + use.recurrent_bytes
    return {
        "weights": use.weights_bytes,
        "kv": cache,
        "compute": use.compute_bytes,
        "beside": use.beside_bytes + use.expert_cache_bytes,
    }
