"""Which panes are shown, and how high each is: a pure function of the state and the room."""

from kvtui.tui.draw.lines import Line, padded
from kvtui.tui.draw.panes import kv_lines, log_lines, memory_lines, placement_lines
from kvtui.tui.state import State

SMALLEST, FOLDED, WIDE = (60, 20), (80, 24), (120, 36)  # columns, lines


def body(state: State, width: int, height: int) -> dict[str, tuple[Line, ...]]:
    """Panes by name, `height` lines in all: every pane, or only the focused one where there is little room."""
    folded = width < FOLDED[0] or height + 2 < FOLDED[1]
    if folded or state.zoomed:
        return {state.focus: pane(state, state.focus, width, height)}
    memory = min(len(state.request.machine.devices) + 2 + bool(state.problem), max(height // 3, 4))
    table = min(len(state.rows) + 4, 9 if height < 30 else 16)
    rest = height - memory - table
    shown = {"memory": pane(state, "memory", width, memory), "kv": pane(state, "kv", width, table)}
    roomy = height + 2 >= WIDE[1]
    if state.log_shown and not roomy:
        shown["log"] = pane(state, "log", width, rest)
    elif state.log_shown or (roomy and state.server.running):
        shown["placement"] = pane(state, "placement", width, rest // 2)
        shown["log"] = pane(state, "log", width, rest - rest // 2)
    else:
        shown["placement"] = pane(state, "placement", width, rest)
    return shown


def pane(state: State, name: str, width: int, height: int) -> tuple[Line, ...]:
    """One pane, exactly so many lines."""
    draw = {"memory": memory_lines, "kv": kv_lines, "log": log_lines}.get(name, placement_lines)
    return padded(draw(state, width, height), width, height)
