"""The map: groups down, blocks across; then the block under the cursor, speed, and what there is to say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvtui.base.clock import as_measured
from kvtui.base.findings import Finding
from kvtui.hardware.device import CPU
from kvtui.tui.draw.bars import joined
from kvtui.tui.draw.groups import IN_RAM, NOTHING, SEVERAL, MapRow, device_letter, map_rows
from kvtui.tui.draw.pinned import cursor_lines, pin_row
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, fit, line, window, wrapped
from kvtui.tui.state import SEARCHING, State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

LABEL = 11
WHOLE_HEIGHT = 12  # lines inside from which every group has its row
_UNDER = 2  # lines under the map: its legend, and at least one that says something
_MOST_SAID = 12  # lines of one finding
_DEVICE_STYLES = 8


def proof(state: State) -> str:
    """How good the plan is known to be."""
    plan = state.plan
    if state.working == SEARCHING:
        return "searching"
    if plan is None:
        return "no plan"
    if plan.optimality.proven:
        return "proven the best"
    left = plan.optimality.remaining
    known = "" if left is None else f"within {left:.2%} of the best"
    return f"{known}, improving" if state.working and known else known or state.working


def placement_lines(state: State, room: Room) -> list[Line]:
    """What has no room is counted, and where it can be read is said."""
    plan = state.plan
    if plan is None:
        return [line((" searching" if state.working else " no plan", "dim"))]
    whole = _has_room_for_all(plan, room)
    rows = map_rows(plan, whole)
    moved = _moved(rows, state.before, whole)
    lines = _map(state, rows, moved, room)
    lines += _legend(state, room)
    errors, others = _said(plan.findings, room, ("error",)), _said(plan.findings, room, ("warning", "note"))
    held = state.dry_runs.verdicts(next(iter(state.binaries), None), plan)
    errors += _said(held, room, ("error", "warning", "note"))
    at = cursor_lines(state, plan, room.width) if state.focus == "placement" else []
    said = [*at, *errors, *_moves(moved, room), *others]
    left = room.height - len(lines)
    if len(said) > left:
        more = len(said) - left + 1
        said = [
            *said[: max(left - 1, 0)],
            line((f" {more} more lines: {state.key('placement pane')} and {state.key('zoom')} show them", "note")),
        ]
    return [*lines, *said]


def _has_room_for_all(plan: "Plan", room: Room) -> bool:
    """Whether every group has its row and every block its column."""
    storeys = _storeys(len(plan.assignment.layer_devices), room)
    return room.height >= WHOLE_HEIGHT and storeys * (len(map_rows(plan, True)) + 1) + _UNDER <= room.height


def _storeys(blocks: int, room: Room) -> int:
    return -(-blocks // max(room.width - LABEL - 1, 8))


def _map(state: State, rows: list[MapRow], moved: list[set[int]], room: Room) -> list[Line]:
    """The rows, in two or three storeys where blocks do not fit beside each other and there is height for it."""
    count = len(rows[0].cells)
    across = max(room.width - LABEL - 1, 8)
    storeys = _storeys(count, room)
    if storeys == 1 or storeys * (len(rows) + 1) + _UNDER > room.height:
        ranges = [window(count, across, state.cursor)]
    else:
        ranges = [range(start, min(start + across, count)) for start in range(0, count, across)]
    lines: list[Line] = []
    cursor = state.cursor if state.focus == "placement" else -1
    for shown in ranges:
        ruler = "".join(str(i).ljust(10) for i in range(shown.start - shown.start % 10, shown.stop, 10))
        lines.append(fit(line((" " * LABEL + ruler[shown.start % 10 :][: len(shown)], "dim")), room.width))
        for row, there in zip(rows, moved, strict=True):
            cells = [_cell(row, i, i == cursor, i in there, room) for i in shown]
            lines.append((*fit(line(f" {row.name}"), LABEL), *joined(cells)))
        lines += pin_row(state, shown, LABEL)
    return lines


def _cell(row: MapRow, i: int, cursor: bool, moved: bool, room: Room) -> Span:
    sign, place = row.cells[i], row.places[i]
    if cursor:
        return sign, "cursor"
    shown = "·" if sign == IN_RAM and room.unicode else sign
    if moved:
        return shown, "moved"
    if sign == NOTHING:
        return sign, "text"
    if sign == IN_RAM:
        return shown, "free"
    style = "strong" if sign == SEVERAL else f"device{place % _DEVICE_STYLES}"
    return sign, f"{style}!" if room.solid and sign != SEVERAL else style


def _moved(rows: list[MapRow], before: "Plan | None", whole: bool) -> list[set[int]]:
    """The blocks of each row that lie elsewhere than before the last key."""
    if before is None:
        return [set() for _ in rows]
    earlier = {row.name: row.cells for row in map_rows(before, whole)}
    found = []
    for row in rows:
        was = earlier.get(row.name, "")
        found.append({i for i, sign in enumerate(row.cells) if len(was) == len(row.cells) and sign != was[i]})
    return found


def _moves(moved: list[set[int]], room: Room) -> list[Line]:
    blocks = sorted(set().union(*moved))
    if not blocks:
        return []
    text = f"moved: {ranges(blocks)}"
    return [line((" ", "text"), (part, "moved")) for part in wrapped(text, room.width - 2, _MOST_SAID)]


def ranges(numbers: list[int]) -> str:
    """`3-5, 12`."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _legend(state: State, room: Room) -> list[Line]:
    """Which sign is which device, as many lines as that takes."""
    lines: list[list[Span]] = [[]]
    left = room.width - 1
    entries = [
        (device_letter(i), f"device{i % _DEVICE_STYLES}{'!' if room.solid else ''}", d.name)
        for i, d in enumerate(state.request.machine.devices)
    ]
    entries += [("·" if room.unicode else IN_RAM, "free", "RAM"), (SEVERAL, "strong", "several")]
    for sign, style, name in entries:
        size = len(name) + 4
        if size > left:
            lines.append([])
            left = room.width - 1
        lines[-1] += [(" ", "text"), (sign, style), (f" {name} ", "dim")]
        left -= size
    return [tuple(spans) for spans in lines]


def speed_text(plan: "Plan") -> str:
    """Tokens a second: the range, and what is expected at a full context."""
    speed = plan.speed
    if speed is None:
        return ""
    full = f"{speed.tokens_per_second:.3g} when full{as_measured(speed.measured_at)}"
    return f"{speed.low:.3g} to {speed.high:.3g} tokens/s, {full}"


def _said(findings: Sequence[Finding], room: Room, severities: tuple[str, ...]) -> list[Line]:
    lines: list[Line] = []
    shown = [f for f in findings if f.severity in severities]
    for finding in sorted(shown, key=lambda f: severities.index(f.severity)):
        for i, part in enumerate(wrapped(finding.message, room.width - 4, _MOST_SAID)):
            lines.append(line((f" {'  ' if i else ''}{part}", finding.severity)))
    return lines


def place_name(state: State, place: int) -> str:
    """A device's name, or RAM."""
    return "RAM" if place == CPU else state.request.machine.devices[place].name
