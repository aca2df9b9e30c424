"""The server's log: what is watched of it, then the newest lines that have room, long ones folded and not cut."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvtui.tui.draw.room import Room
from kvtui.tui.draw.watched import watched_lines
from kvtui.tui.lines import Line, line, wrapped
from kvtui.tui.state import State

if TYPE_CHECKING:
    from kvtui.server.log.lines import LogLine

_STYLES = {"error": "error", "warning": "warning"}


def log_about(state: State) -> str:
    """What it is busy with, and the filter."""
    return "  ".join(part for part in (state.server.model, state.server.job or state.server.text, state.log.described()) if part)


def log_lines(state: State, room: Room) -> list[Line]:
    """Newest last, under what is watched."""
    watched = watched_lines(state.server, room)
    return [*watched, *_log(state, replace(room, height=room.height - len(watched)))]


def _log(state: State, room: Room) -> list[Line]:
    if not state.log.lines:
        return [line((f" {state.key('launch')} launches llama-server with this plan; its log is shown here", "dim"))]
    if not state.log.shown:
        keys = f"{state.key('search the log')} and {state.key('log level')}"
        return [line((f" no line passes the filter: {keys} change it", "dim"))]
    lines: list[Line] = []
    for entry in reversed(state.log.window(room.height)):
        lines = [*_folded(entry, room), *lines]
        if len(lines) >= room.height:
            break
    return lines[-room.height :]


def _folded(entry: "LogLine", room: Room) -> list[Line]:
    style = _STYLES.get(entry.level, "text")
    parts = wrapped(entry.text, room.width - 3, room.height) or [""]
    return [line((f" {'  ' if i else ''}{part}", style)) for i, part in enumerate(parts)]
