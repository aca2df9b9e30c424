"""Which panes are shown, and how high each is: pure functions of the state and the room."""

from kvtui.base.text import columns, printable
from kvtui.tui.draw.panes import head_lines, kv_lines, log_lines, memory_lines, placement_lines
from kvtui.tui.keys.commands import LOG, PLACEMENT
from kvtui.tui.keys.footer import key_lines
from kvtui.tui.lines import Line, line, padded, page_heading, wrapped
from kvtui.tui.state import State

SMALLEST, FOLDED, WIDE = (60, 20), (80, 24), (120, 36)  # columns, lines
PAGE_HINT = "Esc closes, PgUp and PgDn scroll"
Shown = dict[str, tuple[Line, ...]]


def screen(state: State, width: int, height: int) -> Shown:
    """All that is shown, by the pane's name: the head, what is in front, the footer; `height` lines in all."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        text = f"kvtui needs {SMALLEST[0]} x {SMALLEST[1]}, here are {width} x {height}"
        return {"page": (line((text, "warning")),)}
    footer = footer_lines(state, width)
    said = notice_lines(state, width)
    shown = {"head": tuple(head_lines(state, width)), **_front(state, width, height - 1 - len(footer), height)}
    last = list(shown)[-1]
    shown[last] = shown[last][: len(shown[last]) - len(said)]  # a notice covers the lowest lines, the keys stay
    return {**shown, "footer": (*said, *footer)}


def page_room(height: int) -> int:
    """Lines between the head and the footer of a page."""
    return height - 2


def _front(state: State, width: int, room: int, height: int) -> Shown:
    asked = state.asking.page(width, room) if state.asking is not None else None
    if asked is not None:
        return {"page": padded([page_heading(asked[0], "", width), *asked[1]], width, room)}
    if state.page is not None:
        page = state.page.scrolled(0, room)
        return {"page": padded([page_heading(page.title, PAGE_HINT, width), *page.lines[page.at :]], width, room)}
    return body(state, width, room, height)


def footer_lines(state: State, width: int) -> tuple[Line, ...]:
    """What is asked, or the keys of what is in front."""
    if state.asking is not None:
        return state.asking.footer(width)
    return tuple(line((f" {text}", "dim")) for text in key_lines(state.front, state.server.running, width - 2))


def notice_lines(state: State, width: int) -> tuple[Line, ...]:
    """What is told, all of it: a failure until the next change, a notice until the next key."""
    if state.asking is not None:
        return ()
    told = [printable(text) for text in (state.failed, state.notice) if text]
    parts = [part for text in told for part in ([text] if columns(text) < width else wrapped(text, width - 2))]
    return padded([line((f" {part}", "warning")) for part in parts], width, len(parts))


def body(state: State, width: int, room: int, height: int) -> Shown:
    """Panes by name, `room` lines in all of the screen's `height`: every pane, or only the focused one where there is little
    of it."""
    folded = width < FOLDED[0] or height < FOLDED[1]
    if folded or state.zoomed:
        return {state.focus: pane(state, state.focus, width, room)}
    memory = min(len(state.request.machine.devices) + 2 + bool(state.problem), max(room // 3, 4))
    table = min(len(state.rows) + 4, 9 if room < 30 else 16)
    rest = room - memory - table
    shown = {"memory": pane(state, "memory", width, memory), "kv": pane(state, "kv", width, table)}
    roomy = height >= WIDE[1]
    if state.log_shown and not roomy and state.focus != PLACEMENT:
        shown["log"] = pane(state, "log", width, rest)
    elif roomy and state.log_shown:
        shown["placement"] = pane(state, "placement", width, rest // 2)
        shown["log"] = pane(state, "log", width, rest - rest // 2)
    else:
        shown["placement"] = pane(state, "placement", width, rest)
    return shown


def log_is_in_sight(state: State, width: int, height: int) -> bool:
    """Whether the log's pane is on a screen of that size."""
    return LOG in body(state, width, height - 1 - len(footer_lines(state, width)), height)


def pane(state: State, name: str, width: int, height: int) -> tuple[Line, ...]:
    """One pane, exactly so many lines."""
    draw = {"memory": memory_lines, "kv": kv_lines, "log": log_lines}.get(name, placement_lines)
    return padded(draw(state, width, height), width, height)
