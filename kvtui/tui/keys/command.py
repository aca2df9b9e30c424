"""What a command is: a key, what it does, and where; and keys as a person reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from textual.keys import key_to_character

from kvtui.tui.keys.actions import Actions

EVERYWHERE, MEMORY, TABLE, PLACEMENT, LOG, PAGE = "", "memory", "kv", "placement", "log", "page"

PANE_NAMES = {
    EVERYWHERE: "everywhere",
    MEMORY: "in the memory pane",
    TABLE: "in the K/V table",
    PLACEMENT: "in the map",
    LOG: "in the log",
}


class When(Enum):
    """What has to be so for a command to be of use: the footer names it then."""

    ALWAYS = auto()
    RUNS = auto()  # a server does
    RUNS_OTHER = auto()  # and it was asked for something else than the screen is
    NO_ROOM = auto()  # the last load ran out of memory
    LEARNED = auto()  # something was measured that the plan does not count
    TAKES = auto()  # the page in front has a request to take
    KEEPS = auto()  # a plan is kept as A
    HAS_OTHER = auto()  # the screen shows the plan that runs, and another request waits


@dataclass(frozen=True)
class Command:
    """`key`: Textual's name of it; `do`: the action; `pane`: what has to be in front, EVERYWHERE for any pane (and no
    page). `footer`: its text there, or "", where another command's names it too; those of the highest `rank` give way
    first. `named_in`: the pane whose footer names it, where it acts in others as well."""

    key: str
    do: Callable[[Actions], object]
    name: str
    help: str
    pane: str = EVERYWHERE
    footer: str = ""
    rank: int = 1
    named_in: str = EVERYWHERE
    when: When = When.ALWAYS


KEY_NAMES = {
    "question_mark": "?",
    "escape": "Esc",
    "enter": "Enter",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "ctrl+p": "^P",
    "space": "Space",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "greater_than_sign": ">",
    "less_than_sign": "<",
}


def shown_key(command: Command) -> str:
    """The key as a person reads it."""
    key = command.key
    return KEY_NAMES.get(key) or key_to_character(key) or key.replace("ctrl+", "^").capitalize()
