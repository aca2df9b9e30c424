"""A server that serves, in a line or two over its log: what has no room is left out whole, from the end."""

from kvtui.base.sizes import mib
from kvtui.tui.draw.bars import bar, sparkline
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, line, width_of
from kvtui.tui.state import ServerView

_SPARK_STEP = {False: 2, True: 1}  # samples a column, narrow and wide
_WIDE = 110
_SECOND_LINE = 8  # lines of the pane from which there is a second one
_SLOT, _SLOT_WIDE = 5, 12  # columns of a slot's bar
_MOST_BARS = 8  # slots; more are one bar
_LOWEST_TOP = 10.0  # tokens a second that fill the sparkline's height at least


def watched_lines(server: ServerView, room: Room) -> list[Line]:
    """None, one, or two lines."""
    if not server.running or not server.ready:
        return []
    most = 2 if room.height >= _SECOND_LINE else 1
    lines: list[Line] = []
    content: Line = ()
    for part in filter(None, _parts(server, room)):
        if width_of(content) + width_of(part) > room.width and content:
            lines.append(content)
            content = ()
            if len(lines) == most:
                break
        content = (*content, *part)
    return [*lines, content][:most] if content else lines


def _parts(server: ServerView, room: Room) -> list[Line]:
    """What a person asks about most comes first."""
    watched = server.watched
    parts = [_slots(server, room), _rate(server, room)]
    if prompts := watched.serving.prompts:
        parts.append(line((" prompt ", "dim"), (" ".join(f"{share:.0%}" for share in prompts[:_MOST_BARS]) + " ", "accent")))
    if watched.cached is not None:
        parts.append(_figure("cached", f"{watched.cached:.0%}"))
    if watched.accepted is not None:
        parts.append(_figure("drafts kept", f"{watched.accepted:.0%}"))
    if watched.serving.checkpoints:
        parts.append(_figure("checkpoints", str(watched.serving.checkpoints)))
    for grown in watched.grew:
        if grown.grew_bytes or grown.said_bytes:
            parts.append(_figure(f"{grown.name} grew", f"{mib(grown.grew_bytes)} of {mib(grown.said_bytes)}"))
    return parts


def _figure(name: str, text: str) -> Line:
    return line((f" {name} ", "dim"), (f"{text} ", "text"))


def _rate(server: ServerView, room: Room) -> Line:
    rates = server.watched.rates
    if not any(rates):
        return ()
    step = _SPARK_STEP[room.width >= _WIDE]
    columns = len(rates) // step
    top = max(*rates, _LOWEST_TOP)
    drawn = sparkline([round(100 * rate) for rate in rates], 0, round(100 * top), columns, step, room.unicode)
    return line((f" {drawn} ", "live"), (f"{rates[-1]:.1f} tok/s ", "text"))


def _slots(server: ServerView, room: Room) -> Line:
    slots = server.watched.slots
    if not slots:
        return ()
    width = _SLOT_WIDE if room.width >= _WIDE else _SLOT
    content = line((f" {sum(s.busy for s in slots)}/{len(slots)} busy ", "dim"))
    if len(slots) > _MOST_BARS:
        return (*content, *_bar(sum(s.used for s in slots), server.context, 2 * _SLOT_WIDE, room), (" ", "text"))
    for slot in slots:
        content = (*content, *_bar(slot.used, slot.context, width, room), (" ", "text"))
    return content


def _bar(used: int, context: int, width: int, room: Room) -> Line:
    used = min(used, context)
    return bar({"kv": used, "free": context - used}, context, width, room.solid)
