"""llama-server's own help as data: which options a build has and whether they take a value."""

import re
from dataclasses import dataclass

_NAME = r"-{1,2}[A-Za-z][\w.-]*"
_ENTRY = re.compile(rf"^ {{0,16}}({_NAME}(?:,\s+{_NAME})*)(?: (?! )(\S.*?))?(?:\s{{2,}}(.*)|)$")
_WORDS = re.compile(r"[A-Z]+(?: [A-Z]+)+$")


@dataclass(frozen=True)
class Option:
    """One entry of `--help`: all its names, the hint for its value ("" if it takes none) and its description."""

    names: tuple[str, ...]
    value_hint: str
    text: str

    @property
    def values(self) -> int:
        """How many arguments follow it: two only for "START END"."""
        return len(self.value_hint.split()) if _WORDS.match(self.value_hint) else int(bool(self.value_hint))


def parse_help(text: str) -> tuple[Option, ...]:
    """Options of a `--help` text; anything that is no option line belongs to the description above it."""
    entries: list[tuple[tuple[str, ...], str, list[str]]] = []
    for line in text.splitlines():
        found = _ENTRY.match(line)
        if found:
            names = tuple(re.split(r",\s+", found[1]))
            entries.append((names, (found[2] or "").strip(), [found[3] or ""]))
        elif entries and line.startswith(" "):
            entries[-1][2].append(line.strip())
    return tuple(Option(names, hint, " ".join(filter(None, lines))) for names, hint, lines in entries)
