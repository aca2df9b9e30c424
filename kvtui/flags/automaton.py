"""A search that follows all ways through a pattern at once (K. Thompson, Regular Expression Search Algorithm, 1968): its time is
the name's length by the pattern's size, whatever the pattern. Steps that were taken are kept: names begin alike."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MOST_STATES = 1000  # x{1,400} takes 800
KEPT_STATES = 1 << 14  # in all places that are kept: some MiB

_TOKEN = re.compile(
    r"(?P<edge>[$^]|\\[bB])"
    r"|(?P<atom>\\[dDwWsStnrfv]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^a-zA-Z0-9]"
    r"|\[\^?\]?(?:[^\\\]]|\\.)*\]|[^\\^$|?*+()\[{])"
    r"|(?P<repeat>(?:[*+?]|\{(?=[\d,]*\d)(?P<low>\d*)(?P<comma>,)?(?P<high>\d*)\})\??)"
    r"|(?P<open>\((?:\?:|(?!\?)))|(?P<close>\))|(?P<either>\|)|(?P<other>\(\?(?:<?[=!]|[^:>)]*[:>)])|.)",
    re.DOTALL,
)
_BOUNDS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_WORD = re.compile(r"\w")
_NOTHING = ""  # in place of the character behind the last

Node = Callable[["_States", int], int]  # puts states that lead to the given one; the first of them


class Pattern(Protocol):
    """What is searched in a name."""

    def search(self, string: str, /) -> object:
        """Something true where there is a match."""


class NotRegularError(ValueError):
    """A pattern that takes more than a number of states."""


def tokens(pattern: str) -> Iterator[re.Match[str]]:
    """Its parts: `other` is a back reference, or what begins a group with a look ahead or the like."""
    return _TOKEN.finditer(pattern)


@dataclass
class _Level:
    """A group that is open: its finished choices, and the parts of the one under way."""

    choices: list[Node]
    parts: list[Node]

    def either(self) -> None:
        self.choices.append(_sequence(tuple(self.parts)))
        self.parts = []

    def closed(self) -> Node:
        self.either()
        return _choice(tuple(self.choices)) if len(self.choices) > 1 else self.choices[0]


class _States:
    """Of each state: where it leads without a character (and what must hold there), or by one that `atoms` takes."""

    def __init__(self) -> None:
        self.free: list[tuple[tuple[str, int], ...]] = []
        self.taken: list[tuple[int, int] | None] = []
        self.atoms: list[re.Pattern[str]] = []
        self._known: dict[str, int] = {}

    def put(self, free: Sequence[tuple[str, int]] = (), taken: tuple[int, int] | None = None) -> int:
        """A new one."""
        if len(self.free) == MOST_STATES:
            raise NotRegularError(f"it takes more than {MOST_STATES:,} states; write it shorter")
        self.free.append(tuple(free))
        self.taken.append(taken)
        return len(self.free) - 1

    def atom(self, text: str) -> int:
        """The number of what takes one character."""
        if text not in self._known:
            self._known[text] = len(self.atoms)
            self.atoms.append(re.compile(text))
        return self._known[text]


def _sequence(parts: Sequence[Node]) -> Node:
    def put(states: _States, then: int) -> int:
        for part in reversed(parts):
            then = part(states, then)
        return then

    return put


def _choice(choices: Sequence[Node]) -> Node:
    return lambda states, then: states.put([("", choice(states, then)) for choice in choices])


def _edge(what: str) -> Node:
    return lambda states, then: states.put([(what, then)])


def _atom(text: str) -> Node:
    return lambda states, then: states.put(taken=(states.atom(text), then))


def _repeated(node: Node, low: int, high: int | None) -> Node:
    def put(states: _States, then: int) -> int:
        begin = then
        if high is None:
            begin = states.put()
            states.free[begin] = (("", node(states, begin)), ("", then))
        else:
            for _ in range(high - low):
                begin = states.put([("", node(states, begin)), ("", then)])
        for _ in range(low):
            begin = node(states, begin)
        return begin

    return put


def _parsed(pattern: str) -> Node:
    levels = [_Level([], [])]
    for token in tokens(pattern):
        parts = levels[-1].parts
        if token["edge"]:
            parts.append(_edge(token[0]))
        elif token["atom"]:
            parts.append(_atom(token[0]))
        elif token["repeat"] and parts:
            parts.append(_repeated(parts.pop(), *_bounds(token)))
        elif token["open"]:
            levels.append(_Level([], []))
        elif token["close"] and len(levels) > 1:
            inner = levels.pop().closed()
            levels[-1].parts.append(inner)
        elif token["either"]:
            levels[-1].either()
        else:
            raise NotRegularError(f"its {token[0]!r} at character {token.start() + 1} cannot stand beside so many choices")
    return levels[0].closed()


def _bounds(token: re.Match[str]) -> tuple[int, int | None]:
    if token["low"] is None:
        return _BOUNDS[token[0][0]]
    low, high = int(token["low"] or 0), int(token["high"]) if token["high"] else None
    return (low, high) if token["comma"] else (low, low)


@dataclass
class _Place:
    """Between two characters: the states that a search is in, and of what `kind` the character before is (a word's, another
    one, none). `then`: the places behind the next characters that were met here; None where a match ends."""

    states: frozenset[int]
    kind: str
    then: dict[str, "_Place | None"] = field(default_factory=dict)


class Automaton:
    """A pattern; `search` as that of `re`, but for what it gives."""

    def __init__(self, pattern: str) -> None:
        self._states = _States()
        self._end = self._states.put()
        self._begin = frozenset((_parsed(pattern)(self._states, self._end),))
        self._forget()

    def search(self, string: str, /) -> bool:
        """Whether there is a match anywhere."""
        here: _Place | None = self._places[self._begin, ""]
        for character in (*string, _NOTHING):
            if here is None:
                return True
            here = here.then[character] if character in here.then else self._step(here, character)
        return here is None

    def _forget(self) -> None:
        self._places = {(self._begin, ""): _Place(self._begin, "")}
        self._kept = 0

    def _step(self, here: _Place, character: str) -> _Place | None:
        if self._kept > KEPT_STATES:
            self._forget()
        reached = self._reached(here, character)
        found = None
        if self._end not in reached:
            kind = "w" if _WORD.match(character) else "."
            states = self._begin | self._taken(reached, character)
            found = self._places.setdefault((states, kind), _Place(states, kind))
            self._kept += len(states)
        here.then[character] = found
        return found

    def _reached(self, here: _Place, character: str) -> set[int]:
        holds = {"": True, "^": not here.kind, "$": not character}
        holds[r"\b"] = (here.kind == "w") != (_WORD.match(character) is not None)
        holds[r"\B"] = not holds[r"\b"]
        reached, open_ = set(here.states), list(here.states)
        while open_:
            for edge, state in self._states.free[open_.pop()]:
                if holds[edge] and state not in reached:
                    reached.add(state)
                    open_.append(state)
        return reached

    def _taken(self, reached: set[int], character: str) -> set[int]:
        takes = [atom.match(character) is not None for atom in self._states.atoms]
        ways = (self._states.taken[state] for state in reached)
        return {way[1] for way in ways if way is not None and takes[way[0]]}
