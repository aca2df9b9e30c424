"""What commands print: JSON, and lines for people."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from kvtui.base.text import printable
from kvtui.cli.boundary import emit, say, say_over


def fetched(n_bytes: int) -> None:
    """Tells how much of a remote header was read."""
    if sys.stderr is not None and sys.stderr.isatty():
        say_over(f"reading the header: {n_bytes / 1000:,.0f} kB")


def print_json(value: dict[str, Any]) -> None:
    """One JSON object."""
    emit(json.dumps(value, ensure_ascii=True))


def echo_lines(lines: Sequence[str]) -> None:
    """Lines, made printable."""
    emit("\n".join(map(printable, lines)))


class StageLine:
    """What is being done, on one line that is written over where a person looks on; a line a stage elsewhere."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if sys.stderr is None:
            return
        if sys.stderr.isatty():
            count = f" {done + 1} of {total}" if total else ""
            say_over(f"{printable(stage)}{count}")
        elif stage != self._stage:
            say(stage)
        self._stage = stage

    def end(self) -> None:
        """Leave a clean line."""
        if self._stage and sys.stderr is not None and sys.stderr.isatty():
            say_over("")
        self._stage = ""
