"""Other keys for commands, as a person's config has them."""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from kvtui.base.findings import UsageError
from kvtui.base.text import printable
from kvtui.tui.keys.command import EVERYWHERE, KEY_NAMES, PAGE, Command, shown_key

_MOST_SHOWN = 64  # characters of what a config holds in a sentence
_KEPT = ("escape", "enter", "ctrl+c", "ctrl+q")  # close, take and leave, everywhere


def rebound(commands: tuple[Command, ...], wanted: Mapping[str, str]) -> tuple[Command, ...]:
    """`commands` with other keys. `wanted`: name -> key; a name may be cut where only one begins so. UsageError for a
    name or key that is none, and for a key that would do two things."""
    moved = {_named(commands, name): _key(key) for name, key in wanted.items()}
    changed = tuple(replace(c, key=moved.get(i, c.key)) for i, c in enumerate(commands))
    moves = {(commands[i].pane, _as_named(commands[i])): shown_key(changed[i]) for i in moved}
    result = tuple(replace(c, footer=_footer(c, moves)) if c.footer else c for c in changed)
    _refuse_doubles(result)
    return result


def _named(commands: tuple[Command, ...], name: str) -> int:
    """Which command it is: the first of that name."""
    wanted = " ".join(name.casefold().split())
    names = [c.name.casefold() for c in commands]
    if wanted in names:
        return names.index(wanted)
    begin = sorted({n for n in names if wanted and n.startswith(wanted)})
    if len(begin) == 1:
        return names.index(begin[0])
    near = begin or get_close_matches(wanted[:_MOST_SHOWN], names, n=1, cutoff=0.0)
    raise UsageError(f"keys: no command {printable(name, _MOST_SHOWN)!r}; did you mean {' or '.join(map(repr, near[:3]))}?")


def _key(text: str) -> str:
    """Textual's name of a key that a person wrote as the screen shows it."""
    by_shown = {shown.casefold(): key for key, shown in KEY_NAMES.items()}
    if len(text) == 1:
        key = text if text.isalnum() else _name(text)
    else:
        key = by_shown.get(text.casefold(), text.casefold().replace("^", "ctrl+"))
    if not key or (len(key) > 1 and len(text) > 1 and key not in {k.value for k in Keys} and key not in KEY_NAMES):
        raise UsageError(f"keys: {printable(text, _MOST_SHOWN)!r} is no key; write it as h, H, F5, PgUp, Space or ctrl+k")
    if key in _KEPT:
        raise UsageError(f"keys: {text} always closes, takes or leaves and cannot be given to a command")
    return key


def _name(character: str) -> str:
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def _as_named(command: Command) -> str:
    return _folded(shown_key(command))


def _folded(key: str) -> str:
    """Footers write `up` and `F1`; letters differ by their case."""
    return key if len(key) == 1 else key.casefold()


def _footer(command: Command, moves: Mapping[tuple[str, str], str]) -> str:
    """A footer whose keys (`h half`, `k/v types`, `F1-F4 presets`) are those that act now. `moves`: (pane, the key as it
    was shown) -> as it is."""
    keys, _, what = command.footer.partition(" ")
    ends = keys.split("-") if keys.count("-") == 1 and len(keys) > 1 else []
    if any((command.pane, _folded(end)) in moves for end in ends):  # no longer in a row
        return f"{shown_key(command)} {command.name}"
    return f"{'/'.join(moves.get((command.pane, _folded(key)), key) for key in keys.split('/'))} {what}"


def _refuse_doubles(commands: tuple[Command, ...]) -> None:
    for pane in {c.pane for c in commands}:
        seen: dict[str, Command] = {}
        for command in commands:
            if command.pane != pane and (pane == PAGE or command.pane != EVERYWHERE):
                continue
            other = seen.setdefault(command.key, command)
            if other is not command:
                raise UsageError(f"keys: {shown_key(command)} would be both {other.name!r} and {command.name!r}")
