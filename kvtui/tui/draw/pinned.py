"""What the map says of pins, of the blocks that are marked, and of the block under the cursor."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvtui.hardware.device import CPU
from kvtui.tui.keys.pins import EXPERTS, blocks_text, movable, pinned_blocks
from kvtui.tui.lines import Line, Span, line, wrapped
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

PINNED, MARKED = "^", "="


def pin_row(state: State, shown: range, label: int) -> list[Line]:
    """A row under the map: which of the shown blocks pins hold, and which are marked; none where none is."""
    pins, marked = pinned_blocks(state.request), state.marked
    if not pins and not marked:
        return []
    name = "marked" if marked else "pinned"
    spans: list[Span] = [(f" {name}".ljust(label), "text")]
    for block in shown:
        sign, style = (MARKED, "cursor") if block in marked else (PINNED, "strong") if block in pins else (" ", "text")
        if len(spans) > 1 and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + sign, style)
        else:
            spans.append((sign, style))
    return [tuple(spans)]


def cursor_lines(state: State, plan: "Plan", width: int) -> list[Line]:
    """A sentence on the block under the cursor, or on all that are marked."""
    layers = plan.assignment.layer_devices
    at = min(state.cursor, len(layers) - 1)
    if at == len(layers) - 1:
        return [line((" output", "strong"), f": {_places(state, [layers[at]])}")]
    blocks = state.marked or range(at, at + 1)
    homes = [layers[b] for b in blocks if b < len(layers) - 1]
    clauses = []
    for what, text in ((EXPERTS, "experts"), ("FFN", "FFN")):
        held = [t for b in blocks for part, tensors in [movable(state.request.model, b)] if part == what for t in tensors]
        if held:
            clauses.append(f"{text} {_places(state, [plan.assignment.tensor_devices[t.index] for t in held])}")
    clauses.append(f"attention {_places(state, homes)}")
    pins = pinned_blocks(state.request)
    count = sum(b in pins for b in blocks)
    told = "" if not count else "; pinned" if count == len(blocks) else f"; {count} of {len(blocks)} pinned"
    head = blocks_text(blocks)
    first, *rest = wrapped(f"{head}: {', '.join(clauses)}{told}", width - 2)
    return [line((f" {head}", "strong"), first.removeprefix(head)), *(line(f" {part}") for part in rest)]


def _places(state: State, places: Iterable[int]) -> str:
    """`in RAM`, `on CUDA0, CUDA1`, `on CUDA0 and in RAM`."""
    found = sorted(set(places), key=lambda p: (p == CPU, p))
    names = [state.request.machine.devices[p].name for p in found if p != CPU]
    said = [f"on {', '.join(names)}"] if names else []
    return " and ".join([*said, "in RAM"] if CPU in found else said)
