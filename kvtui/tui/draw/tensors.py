"""The tensors of the block under the cursor: type, size, and where each is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvtui.base.sizes import amount
from kvtui.report.why_here import place, why_here
from kvtui.tui.draw.placement import place_name
from kvtui.tui.draw.room import Room
from kvtui.tui.keys.asking import Choice
from kvtui.tui.lines import Line, line
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

_SIZE, _PLACE = 10, 7
_MOST_NAME = 32  # columns of a name in the list


def tensors_title(state: State) -> str:
    """Which block it is."""
    blocks = state.request.model.n_layer_all
    return f"block {state.cursor}" if state.cursor < blocks else "output"


def tensor_rows(plan: "Plan") -> Iterator[Choice]:
    """A row a tensor that is loaded: name, type, size, where, and why there; block by block, the largest first."""
    loaded = [t for t in plan.request.model.tensors if t.loaded]
    for t in sorted(loaded, key=lambda t: (t.block is None, t.block or 0, -t.n_bytes)):
        there = place(plan, plan.assignment.tensor_devices[t.index])
        name = t.name.removesuffix(".weight")
        yield Choice(f"{name:{_MOST_NAME}} {t.type_name:7} {amount(t.n_bytes):>9}  {there:{_PLACE}} {why_here(plan, t)}", None)


def tensor_lines(state: State, room: Room) -> list[Line]:
    """The largest first; what has no room is summed up."""
    plan, model = state.plan, state.request.model
    if plan is None:
        return []
    block = state.cursor if state.cursor < model.n_layer_all else None
    found = [t for t in model.tensors if t.block == block and t.loaded and (block is not None or t.kind == "output")]
    found.sort(key=lambda t: -t.n_bytes)
    shown = found if len(found) <= room.height else found[: max(room.height - 1, 0)]
    lines: list[Line] = []
    prefix = f"blk.{block}."
    for t in shown:
        place = plan.assignment.tensor_devices[t.index]
        name = t.name.removeprefix(prefix).removesuffix(".weight")
        types = room.width - _SIZE - _PLACE - 9 >= len(name) + 1
        left = room.width - _SIZE - _PLACE - (9 if types else 1)
        style = "free" if place < 0 else f"device{place % 8}"
        kind = ((f"{t.type_name:8}", "dim"),) if types else ()
        lines.append(
            line(f" {name:{left}}", *kind, f"{amount(t.n_bytes):>{_SIZE - 1}} ", (f"{place_name(state, place):{_PLACE}}", style))
        )
    if len(shown) < len(found):
        rest = found[len(shown) :]
        lines.append(line((f" and {len(rest)} smaller, {amount(sum(t.n_bytes for t in rest))}", "dim")))
    return lines
