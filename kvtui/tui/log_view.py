"""The server's log on the screen: which lines, from where, and whether it follows what comes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvtui.server.log.lines import LEVELS, Level, LogLine, matching

KEPT_LINES = 20_000
_TIMES = re.compile(r"  \(x\d+\)$")
_STAMP = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} ")
_NAMES: dict[Level, str] = {"error": "errors", "warning": "warnings", "info": "no debug", "debug": "all"}


@dataclass(frozen=True)
class LogView:
    """`lines`: all that are kept; `shown`: those that pass the filter; `back`: lines scrolled up from the newest,
    which stays where it is while new ones come unless `following`."""

    lines: tuple[LogLine, ...] = ()
    shown: tuple[LogLine, ...] = ()
    words: str = ""
    least: Level = "debug"
    following: bool = True
    back: int = 0
    repeats: int = 1  # times the newest line came in a row

    def with_new(self, new: Sequence[LogLine]) -> "LogView":
        """Further lines; the oldest give way. A line that says again what the newest said, as a server that is asked
        how it is does, only counts up."""
        kept, shown, repeats = list(self.lines[-1:]), self.shown, self.repeats
        taken = len(kept)
        for entry in new:
            if kept and _words(entry) == _words(kept[-1]):
                repeats += 1
                again = replace(entry, text=f"{_TIMES.sub('', entry.text)}  (x{repeats})")
                if shown and shown[-1] is kept[-1]:
                    shown = (*shown[:-1], again)
                kept[-1] = again
            else:
                repeats = 1
                kept.append(entry)
        lines = (*self.lines[: len(self.lines) - taken], *kept)[-KEPT_LINES:]
        passing = matching(kept[taken:], self.least, self.words)
        shown = (*shown, *passing)[-KEPT_LINES:]
        back = 0 if self.following else min(self.back + len(passing), max(len(shown) - 1, 0))
        return replace(self, lines=lines, shown=shown, back=back, repeats=repeats)

    def filtered(self, words: str | None = None, least: Level | None = None) -> "LogView":
        """Another filter, over all lines that are kept."""
        words = self.words if words is None else words
        least = self.least if least is None else least
        return replace(self, words=words, least=least, shown=tuple(matching(self.lines, least, words)), following=True, back=0)

    def next_level(self) -> "LogView":
        """all, no debug, warnings, errors, and all again."""
        at = LEVELS.index(self.least)
        return self.filtered(least=LEVELS[at - 1])

    def scrolled(self, lines: int) -> "LogView":
        """Up (positive) stops following; down to the newest takes it up again."""
        back = max(0, min(self.back + lines, max(len(self.shown) - 1, 0)))
        return replace(self, back=back, following=back == 0)

    def follow(self, on: bool) -> "LogView":
        """Follow, from the newest line; or stay."""
        return replace(self, following=on, back=0 if on else self.back)

    def window(self, height: int) -> tuple[LogLine, ...]:
        """The lines for so much room."""
        stop = max(len(self.shown) - self.back, 0)
        return self.shown[max(stop - height, 0) : stop]

    def described(self) -> str:
        """The filter in words: "errors, /cuda, not following"; "" where there is none."""
        parts = [] if self.least == "debug" else [_NAMES[self.least]]
        parts += [f"/{self.words}"] if self.words else []
        parts += [] if self.following else ["not following"]
        if self.words or self.least != "debug":
            parts.append(f"{len(self.shown):,} of {len(self.lines):,} lines")
        return ", ".join(parts)


def _words(entry: LogLine) -> str:
    """What a line says, without its time and without the count put to it here."""
    return _TIMES.sub("", _STAMP.sub("", entry.text))
