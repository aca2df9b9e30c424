"""Which flags a build of llama-server has, and how many values each takes."""

from collections.abc import Set
from dataclasses import dataclass
from functools import cache

from kvtui.base.build import DEFAULT_BUILD, KNOWN, Build, parse_build
from kvtui.base.data import data_file
from kvtui.base.findings import UsageError

REMOVED = -1  # in place of a number of values: the server's parser still knows the flag, and refuses it

# Switches that builds before b11434 had for what -lm says: b10644's value for each (common/arg.cpp), and what people mean
# by them, who learned them when files were mapped unless told otherwise
OLD_LOAD_SWITCHES = {
    "--mmap": ("mmap", "mmap"),
    "--no-mmap": ("none", "none"),
    "--mlock": ("mlock", "mmap+mlock"),
    "-dio": ("dio", "dio"),
    "--direct-io": ("dio", "dio"),
    "-ndio": ("none", "mmap"),
    "--no-direct-io": ("none", "mmap"),
}


@dataclass(frozen=True)
class _Span:
    """A flag of the builds from `first` on and before `end`; None: no such limit is known."""

    first: Build | None
    end: Build | None
    values: int

    def holds(self, build: Build) -> bool:
        return (self.first is None or build >= self.first) and (self.end is None or build < self.end)

    def __str__(self) -> str:
        limits = (f"{self.first} has it" if self.first else "", f"builds before {self.end} had it" if self.end else "")
        return ", ".join(x for x in limits if x)


def _lines(name: str) -> list[list[str]]:
    text = data_file(name).read_text()
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


def _limit(word: str) -> Build | None:
    return None if word == "-" else parse_build(word)


@cache
def _elsewhere() -> dict[str, _Span]:
    """Flags that not every build has."""
    table = {}
    for first, end, values, *names in _lines("server-flags-builds.txt"):
        span = _Span(_limit(first), _limit(end), int(values))
        table.update(dict.fromkeys(names, span))
    return table


@cache
def known_flags(build: Build = DEFAULT_BUILD) -> dict[str, int]:
    """Every flag of the build's llama-server and how many values it takes, or `REMOVED`."""
    table = {name: int(count) for count, *names in _lines("server-flags.txt") for name in names}
    for name, span in _elsewhere().items():
        if span.holds(build):
            table[name] = span.values
        else:
            table.pop(name, None)
    return table


def build_by_flags(names: Set[str]) -> Build | None:
    """The newest measured build whose own flags are all among these, for a server that tells no number; None: none is."""
    for build in sorted(KNOWN, reverse=True):
        own = {name for name, span in _elsewhere().items() if span.first == build}
        if own and own <= names:
            return build
    return None


def unknown_flag(word: str, flag: str, build: Build) -> UsageError:
    """What to say of a flag that the build does not have: which one has, or today's word for it."""
    if flag in OLD_LOAD_SWITCHES:
        return UsageError(f"{word}: llama-server {build} has no such flag; write -lm {OLD_LOAD_SWITCHES[flag][1]}")
    if flag in _elsewhere():
        return UsageError(f"{word}: llama-server {build} has no such flag; {_elsewhere()[flag]}")
    return UsageError(f"{word}: llama-server has no such flag")
