"""Two plans beside each other: what was asked, what it comes to, each device, and the tensors that lie elsewhere."""

from collections import defaultdict
from typing import TYPE_CHECKING

from kvtui.base.sizes import amount
from kvtui.hardware.device import CPU
from kvtui.tui.draw.placement import ranges
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, line, wrapped
from kvtui.tui.state import SEARCHING, State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

TWO_PLANS = "A and B"
_LABEL, _WITH_DIFFERENCE = 9, 56  # columns; from so many inside there is a third column
_MOST_MOVES = 12  # lines of one way
_PENDING, _NONE = "...", "-"


def two_plans_lines(state: State, room: Room) -> list[Line]:
    """A row each: types, context, cache, speed, devices, RAM; then the ways that tensors went. Without A: nothing."""
    kept = state.kept
    if kept is None:
        return []
    a, b = kept.plan, None if state.working == SEARCHING else state.plan
    if kept.asked == state.asked:
        return [line((f" {part}", "dim")) for part in wrapped("B is what A is, until something is changed", room.width - 2)]
    columns = 3 if room.width >= _WITH_DIFFERENCE else 2
    width = (room.width - _LABEL - 2) // columns
    heads = ("A", "B", "B - A")[:columns]
    lines = [line((" " * (_LABEL + 1), "dim"), ("".join(f"{h:>{width}}" for h in heads), "strong"))]
    for label, left, right, difference in _rows(a, b, state):
        cells = [f"{left:>{width}}", f"{right:>{width}}", f"{difference:>{width}}"][:columns]
        style = "text" if left == right or right == _PENDING else "moved"
        lines.append(line((f" {label:<{_LABEL}}", "dim"), cells[0], (cells[1], style), *cells[2:]))
    return [*lines, *(_moves(a, b, room) if b is not None else [])]


def _rows(a: "Plan", b: "Plan | None", state: State) -> list[tuple[str, str, str, str]]:
    """(label, of A, of B, how much more B has)."""
    was, now = a.request.context, state.request.context
    n_ctx = b.request.context.n_ctx if b is not None else now.n_ctx
    rows = [
        ("types", f"{was.type_k}/{was.type_v}", f"{now.type_k}/{now.type_v}", ""),
        ("context", f"{was.n_ctx:,}", f"{n_ctx:,}" if n_ctx else "max", f"{n_ctx - was.n_ctx:+,}" if n_ctx else ""),
        ("slots", str(was.slots), str(now.slots), ""),
        ("fits", _yes(a), _yes(b), ""),
        ("tokens/s", _speed(a), _speed(b), _faster(a, b)),
    ]
    held, holds = _held(a), _held(b) if b is not None else {}
    for name in dict.fromkeys((*held, *holds)):
        left, right = held.get(name), holds.get(name)
        unknown = _PENDING if b is None else _NONE
        more = _signed((right or 0) - (left or 0)) if b is not None else ""
        rows.append((name, _NONE if left is None else amount(left), unknown if right is None else amount(right), more))
    return rows


def _held(plan: "Plan") -> dict[str, int]:
    """Bytes of each device, RAM last."""
    devices = zip(plan.request.machine.devices, plan.estimate.devices, strict=True)
    return {**{d.name: use.used_bytes for d, use in devices}, "RAM": plan.estimate.host.used_bytes}


def _yes(plan: "Plan | None") -> str:
    return _PENDING if plan is None else "yes" if plan.fits else "no"


def _speed(plan: "Plan | None") -> str:
    if plan is None:
        return _PENDING
    if plan.speed is None:
        return _NONE
    return f"{plan.speed.tokens_per_second:.3g}{' measured' if plan.speed.is_own else ''}"


def _faster(a: "Plan", b: "Plan | None") -> str:
    if b is None or a.speed is None or b.speed is None or not a.speed.tokens_per_second:
        return ""
    if a.speed.source != b.speed.source:  # the one was measured, the other only said: their ratio tells nothing
        return ""
    return f"{b.speed.tokens_per_second / a.speed.tokens_per_second - 1:+.1%}"


def _signed(n_bytes: int) -> str:
    return f"{'-' if n_bytes < 0 else '+'}{amount(abs(n_bytes))}" if n_bytes else "the same"


def _place(plan: "Plan", index: int) -> str:
    device = plan.assignment.tensor_devices[index]
    return "RAM" if device == CPU else plan.request.machine.devices[device].name


def _moves(a: "Plan", b: "Plan", room: Room) -> list[Line]:
    """`RAM > CUDA2 1.5 GiB: blocks 3-5`, the largest way first."""
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    blocks: dict[tuple[str, str], set[int]] = defaultdict(set)
    for tensor in a.request.model.tensors:
        way = _place(a, tensor.index), _place(b, tensor.index)
        if way[0] != way[1] and tensor.loaded:
            sizes[way] += tensor.n_bytes
            blocks[way] |= {tensor.block} if tensor.block is not None else set()
    if not sizes:
        return [line((" no tensor moves", "dim"))]
    lines = [line((" what moves from A to B", "strong"))]
    for way in sorted(sizes, key=lambda w: -sizes[w]):
        there = f": blocks {ranges(sorted(blocks[way]))}" if blocks[way] else ""
        parts = wrapped(f"{way[0]} > {way[1]} {amount(sizes[way])}{there}", room.width - 4, _MOST_MOVES)
        lines += [line((f" {'  ' if i else ''}{part}", "moved" if not i else "text")) for i, part in enumerate(parts)]
    return lines
