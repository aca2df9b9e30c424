"""Which panes are shown, and how large each is: pure functions of the state and the room."""

from collections.abc import Callable
from dataclasses import replace

from kvtui.base.text import columns, printable
from kvtui.report.columns import LEAST_WIDTH, PLAIN_WIDTH
from kvtui.tui.draw.frames import Band, Pane, for_terminal, framed, heading, inner_widths
from kvtui.tui.draw.head import head_line
from kvtui.tui.draw.log_pane import log_about, log_lines
from kvtui.tui.draw.matrix import MATRIX_HEIGHT, MATRIX_WIDTH, matrix_lines
from kvtui.tui.draw.memory import left_out_lines, memory_legends, memory_lines
from kvtui.tui.draw.on_card import card_lines
from kvtui.tui.draw.pages import plan_command
from kvtui.tui.draw.placement import placement_lines, proof, speed_text
from kvtui.tui.draw.room import Room
from kvtui.tui.draw.table import pair_lines, said_lines
from kvtui.tui.draw.tensors import tensor_lines, tensors_title
from kvtui.tui.draw.two_plans import TWO_PLANS, two_plans_lines
from kvtui.tui.draw.what_if import what_if_text
from kvtui.tui.keys.command import shown_key
from kvtui.tui.keys.footer import LINES as FOOTER
from kvtui.tui.keys.footer import key_lines
from kvtui.tui.lines import Line, folded_line, line, wrapped
from kvtui.tui.state import State

SMALLEST, WHOLE, BESIDE, LARGE = (60, 20), (80, 24), (100, 24), (120, 36)  # columns, lines
PAGE_HINT = "Esc closes, PgUp and PgDn scroll"
_TENSORS_WIDTH = 42
_MAP_LINES = 15  # of the map with all groups, its legend, and what is said under it
_LEAST_LOG = 5
_LEAST_MAP = 4  # title, blocks, and two rows, under the table
_EIGHT_GPUS = 10  # lines of the memory: title, RAM, and one each
_LOW_TABLE, _GIVES_WAY = 10, 4  # lines of the table where there is little height; fewer while the map is in focus
_SAID = 9  # lines of the table beside the pairs: title, headings, advice, what is known of the selected one
_ARROWS = {"up": "↑", "down": "↓", "left": "←", "right": "→"}


def screen(state: State, room: Room) -> tuple[Line, ...]:
    """All that is shown: the head, what is in front, the footer; as many lines as there is room."""
    if room.width < SMALLEST[0] or room.height < SMALLEST[1]:
        text = f"kvtui needs {SMALLEST[0]} x {SMALLEST[1]}, here are {room.width} x {room.height}"
        return for_terminal([line((text, "warning"))], room)
    footer, said = footer_lines(state, room), notice_lines(state, room)
    below = (*said, *footer)
    lines = framed(_front(state, _inside(room, footer), _is_large(room)), below, room)
    spare = len(lines) + 1 - room.height
    if spare > 0:  # what is told covers the lowest lines, the keys stay
        lines[-len(below) - spare : -len(below)] = []
    return for_terminal([head_line(state, room), *lines], room)


def _inside(room: Room, footer: tuple[Line, ...]) -> Room:
    """The room between head and footer."""
    return replace(room, height=_between(room.height) - (len(footer) - 1))


def _between(height: int) -> int:
    return height - 2


def page_room(state: State, room: Room) -> int:
    """Lines of a page and its heading on a screen of that size."""
    height = _between(room.height)
    return height - (_memory_height(state, replace(room, height=height), True) if _is_large(room) else 0)


def _is_large(size: Room) -> bool:
    return size.width >= LARGE[0] and size.height >= LARGE[1]


def _front(state: State, room: Room, large: bool) -> list[Band]:
    """A page or the panes. On a large screen the memory stays above a page: it is live, and need not be sent again."""
    bands: list[Band] = []
    under = room
    if large:
        memory = _memory_height(state, room, large)
        under = replace(room, height=room.height - memory)
        bands = [_band(replace(state, focus=""), ["memory"], [0], memory, room)]
    inner = replace(under, width=room.width - 2, height=under.height - 1)
    asked = state.asking.page(inner.width, under.height) if state.asking is not None else None
    if asked is not None:
        return [*bands, [_page(asked[0], "", asked[1], inner)]]
    if state.page is not None:
        lines = [part for content in state.page.lines for part in folded_line(content, inner.width)]
        at = state.page.scrolled(0, under.height, room.width).at
        return [*bands, [_page(state.page.title, PAGE_HINT, lines[at:], inner)]]
    return body(state, room)


def _page(title: str, hint: str, lines: list[Line], room: Room) -> Pane:
    return _filled(
        Pane(line((f" {title} ", "title-focus")), (line((f" {hint} ", "dim")),) if hint else (), tuple(lines), room.width, True),
        room,
    )


def _filled(pane: Pane, room: Room) -> Pane:
    lines = pane.lines[: room.height]
    return replace(pane, lines=lines + ((),) * (room.height - len(lines)))


def footer_lines(state: State, room: Room) -> tuple[Line, ...]:
    """What is asked, or the keys of what is in front."""
    if state.asking is not None:
        return state.asking.footer(room.width - 2)
    return tuple(line((f" {text}", "dim")) for text in key_lines(state.commands, state.front, state.holding, room.width - 3))


def notice_lines(state: State, room: Room) -> list[Line]:
    """What is told, all of it: a failure until the next change, a notice until the next key."""
    if state.asking is not None:
        return []
    told = [printable(text) for text in (state.failed, what_if_text(state), state.notice) if text]
    width = room.width - 4
    return [
        line((f" {part} ", "warning")) for text in told for part in ([text] if columns(text) <= width else wrapped(text, width))
    ]


def in_sight(name: str, state: State, room: Room) -> bool:
    """Whether that pane is on the screen."""
    return any(name in names for names, _, _ in _rows(state, _inside(room, footer_lines(state, room))))


Rows = list[tuple[list[str], list[int], int]]  # panes side by side, their widths inside (0: the rest), lines with the title


def body(state: State, room: Room) -> list[Band]:
    """Bands of panes that fill the room: every pane, or only the focused one where there is little room."""
    return [_band(state, names, shares, height, room) for names, shares, height in _rows(state, room)]


def _rows(state: State, room: Room) -> Rows:
    size = (room.width, room.height + 1 + FOOTER)
    if state.view.square and state.focus == "kv":
        return [(["kv"], [0], room.height)]
    if size[0] < WHOLE[0] or size[1] < WHOLE[1] or state.zoomed:
        return [([state.focus], [0], room.height)]
    large = size[0] >= LARGE[0] and size[1] >= LARGE[1]
    memory = _memory_height(state, room, large)
    layout = _large if large else _beside if size[0] >= BESIDE[0] else _stacked
    return [(["memory"], [0], memory), *layout(state, room, room.height - memory)]


def _memory_height(state: State, room: Room, large: bool) -> int:
    """Lines of the memory's pane with its title: one a device and RAM, at most a third, or what eight GPUs need. On a large
    screen there is room for who is on each card, if it is for all of them."""
    most = max(room.height // 3, min(_EIGHT_GPUS, room.height - _EIGHT_GPUS - 1), 4)
    memory = min(len(state.request.machine.devices) + 2 + bool(state.problem), most)
    if not large:
        return memory
    memory = min(memory + len(left_out_lines(state)), most)
    whole = memory + sum(map(len, card_lines(state, replace(room, width=room.width - 2)).values()))
    return whole if whole <= room.height // 3 else memory


def _stacked(state: State, room: Room, rest: int) -> Rows:
    """One under the other; the log in the map's place."""
    most = 16 if room.height >= 28 else _LOW_TABLE - (_GIVES_WAY if state.focus == "placement" else 0)
    table = min(len(state.pairs) + _SAID, most, rest - _LEAST_MAP)
    lower = "log" if state.log_shown and state.focus != "placement" else "placement"
    return [(["kv"], [0], table), ([lower], [0], rest - table)]


def _beside(state: State, room: Room, rest: int) -> Rows:
    """Table and map side by side, the log below."""
    width = LEAST_WIDTH if room.width < LARGE[0] else PLAIN_WIDTH
    spare = rest - max(len(state.pairs) + _SAID, _MAP_LINES)
    height = max(min(rest // 2, rest - 8), 0) if state.log_shown else _command_height(state, room, spare)
    rows: Rows = [(["kv", "placement"], [width, 0], rest - height)]
    return [*rows, (["log" if state.log_shown else "command"], [0], height)] if height else rows


def _large(state: State, room: Room, rest: int) -> Rows:
    """Table and matrix; map and tensors; the log, or the command where there is height for it."""
    table = min(max(len(state.pairs) + _SAID, MATRIX_HEIGHT), rest // 2)
    rows: Rows = [(["kv", "matrix"], [0, MATRIX_WIDTH], table)]
    left = rest - table
    height = max(left - _MAP_LINES, _LEAST_LOG) if state.log_shown else _command_height(state, room, left - _MAP_LINES)
    beside = "two plans" if state.kept is not None and state.focus != "placement" else "tensors"
    rows.append((["placement", beside], [0, _TENSORS_WIDTH], left - height))
    return [*rows, (["log" if state.log_shown else "command"], [0], height)] if height else rows


def _command_height(state: State, room: Room, spare: int) -> int:
    """Lines of the command's pane with its title; 0 where there is not room for all of it."""
    height = len(plan_command(state, room.width - 2)) + 1
    return height if 1 < height <= spare else 0


def _band(state: State, names: list[str], shares: list[int], height: int, room: Room) -> Band:
    widths = inner_widths(room.width, shares)
    return [_pane(state, name, replace(room, width=w, height=height - 1)) for name, w in zip(names, widths, strict=True)]


def _pane(state: State, name: str, room: Room) -> Pane:
    title, right, draw = _PANES[name](state, room)
    focused = state.focus == name
    named = _keys(name, state, room) if focused else []
    all_keys, first = (line(("".join(f" {text} " for text in texts), "key")) for texts in (named, named[:1]))
    rights = (*((*keys, *r) for keys in (all_keys, first) for r in right), *right, all_keys, first)
    return _filled(Pane(title, rights, tuple(draw(state, room)), room.width, focused), room)


def _keys(name: str, state: State, room: Room) -> list[str]:
    """The pane's own keys, as its border names them; where there is not room for all, the first."""
    own = [c for c in state.commands if c.pane == name]
    arrows = [c for c in own if c.key in _ARROWS]
    common = [w for w in arrows[0].name.split() if all(w in c.name.split() for c in arrows)] if arrows else []
    if common:  # two ways along one thing
        ways = "".join(_ARROWS[c.key] for c in arrows) if room.unicode else "/".join(shown_key(c) for c in arrows)
        texts = [f"{ways} {' '.join(common)}"]
    else:
        texts = []
    texts += [f"{shown_key(c)} {c.name}" for c in own if c not in arrows or not common]
    return texts


Draw = Callable[[State, Room], "list[Line] | tuple[Line, ...]"]
Face = tuple[Line, "tuple[Line, ...]", Draw]  # title, what stands at the right of it (the first that fits), content


def _memory_face(state: State, room: Room) -> Face:
    kind = "memory, simulated" if state.simulated or state.what_if else "memory"
    return heading(1, kind, state.focus == "memory"), memory_legends(state, room), memory_lines


def _table_face(state: State, room: Room) -> Face:
    context, model = state.request.context, state.request.model
    n_ctx = context.n_ctx or (state.plan.request.context.n_ctx if state.plan is not None else 0)
    asked = f"{n_ctx:,}" if context.n_ctx else f"max {n_ctx:,}" if n_ctx else "max"
    slots = f"slots {context.slots} x {context.cells_per_slot(model.n_ctx_train):,}"
    rights = (line(f" context {asked}  {slots} "), line(f" context {asked} "))
    if state.view.square and state.focus == "kv":
        return heading(2, "all pairs", focused=True), rights, square_lines
    return heading(2, "K/V cache", state.focus == "kv"), rights, pair_lines


def square_lines(state: State, room: Room) -> list[Line]:
    """All pairs over the whole of the body, and what is known of the selected one."""
    lines = [*matrix_lines(state, room), line("")]
    row = next((r for r in state.square or state.rows if r.pair == state.pair), None)
    return [*lines, *said_lines(state, row, room, room.height - len(lines))]


def _placement_face(state: State, room: Room) -> Face:
    proven = proof(state)
    said = line((f" {proven} ", "dim")) if proven else ()
    speed = line((f" {speed_text(state.plan)} ", "text")) if state.plan is not None and state.plan.speed is not None else ()
    return heading(3, "placement", state.focus == "placement"), ((*speed, *said), speed, said), placement_lines


def _log_face(state: State, room: Room) -> Face:
    about = log_about(state)
    rights = (
        (line((f" {about}  {state.server.url} ".replace("   ", " "), "dim")), line((f" {about} ", "dim")))
        if state.log.lines or about
        else ()
    )
    return heading(4, "log", state.focus == "log"), rights, log_lines


_PANES: dict[str, Callable[[State, Room], Face]] = {
    "memory": _memory_face,
    "kv": _table_face,
    "placement": _placement_face,
    "log": _log_face,
    "matrix": lambda s, r: (line((" all pairs ", "title")), (), matrix_lines),
    "tensors": lambda s, r: (line((f" {tensors_title(s)} ", "title")), (), tensor_lines),
    "two plans": lambda s, r: (line((f" {TWO_PLANS} ", "title")), (), two_plans_lines),
    "command": lambda s, r: (
        line((" command ", "title")),
        (line((f" {s.key('copy the command')} copies it ", "dim")),),
        lambda state, room: plan_command(state, room.width),
    ),
}
