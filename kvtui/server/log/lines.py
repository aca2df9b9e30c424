"""A line of the server's log, and which lines a person wants to see."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info", "debug"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info", "debug")


@dataclass(frozen=True)
class LogLine:
    """One line: its number in the log (from 1; 0 for kvtui's own remark), level and printable text."""

    number: int
    level: Level
    text: str


def matching(lines: Iterable[LogLine], least: Level = "debug", words: str = "") -> list[LogLine]:
    """Lines of at least this level that hold `words`, whatever their case."""
    shown = LEVELS[: LEVELS.index(least) + 1]
    wanted = words.casefold()
    return [line for line in lines if line.level in shown and wanted in line.text.casefold()]
