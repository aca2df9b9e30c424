"""Which panes are shown, and how high each is: pure functions of the state and the room."""

from kvtui.base.text import columns, printable
from kvtui.tui.draw.panes import head_lines, kv_lines, log_lines, memory_lines, placement_lines
from kvtui.tui.keys.commands import footer_text
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
    room = page_room(height)
    shown = {"head": tuple(head_lines(state, width)), **_front(state, width, room)}
    last = list(shown)[-1]
    shown[last] = shown[last][: len(shown[last]) - len(footer) + 1]  # a long notice covers the lowest lines
    return {**shown, "footer": footer}


def page_room(height: int) -> int:
    """Lines between the head and the footer."""
    return height - 2


def _front(state: State, width: int, room: int) -> Shown:
    asked = state.asking.page(width, room) if state.asking is not None else None
    if asked is not None:
        return {"page": padded([page_heading(asked[0], "", width), *asked[1]], width, room)}
    if state.page is not None:
        page = state.page.scrolled(0, room)
        return {"page": padded([page_heading(page.title, PAGE_HINT, width), *page.lines[page.at :]], width, room)}
    return body(state, width, room)


def footer_lines(state: State, width: int) -> tuple[Line, ...]:
    """What is asked, what is told (all of it), or the keys."""
    if state.asking is not None:
        return (state.asking.footer(width),)
    notice = printable(state.notice)
    if columns(notice) < width:
        return (line((f" {notice}", "warning")) if notice else line((f" {footer_text(width)}", "dim")),)
    parts = wrapped(notice, width - 2)
    return padded([line((f" {part}", "warning")) for part in parts], width, len(parts))


def body(state: State, width: int, height: int) -> Shown:
    """Panes by name, `height` lines in all: every pane, or only the focused one where there is little room."""
    folded = width < FOLDED[0] or height + 2 < FOLDED[1]
    if folded or state.zoomed:
        return {state.focus: pane(state, state.focus, width, height)}
    memory = min(len(state.request.machine.devices) + 2 + bool(state.problem), max(height // 3, 4))
    table = min(len(state.rows) + 4, 9 if height < 30 else 16)
    rest = height - memory - table
    shown = {"memory": pane(state, "memory", width, memory), "kv": pane(state, "kv", width, table)}
    roomy = height + 2 >= WIDE[1]
    if state.log_shown and not roomy and state.focus != "placement":
        shown["log"] = pane(state, "log", width, rest)
    elif roomy and (state.log_shown or state.server.running):
        shown["placement"] = pane(state, "placement", width, rest // 2)
        shown["log"] = pane(state, "log", width, rest - rest // 2)
    else:
        shown["placement"] = pane(state, "placement", width, rest)
    return shown


def pane(state: State, name: str, width: int, height: int) -> tuple[Line, ...]:
    """One pane, exactly so many lines."""
    draw = {"memory": memory_lines, "kv": kv_lines, "log": log_lines}.get(name, placement_lines)
    return padded(draw(state, width, height), width, height)
