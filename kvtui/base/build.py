"""A llama.cpp build as a value: its number, and how it stands to the builds whose rules are known here."""

import re
from dataclasses import dataclass

from kvtui.base.findings import UsageError

_TEXT = re.compile(r"b?(\d{1,9})")


@dataclass(frozen=True, order=True)
class Build:
    """Build `number` counts the commits of llama.cpp; b11434 as it calls itself."""

    number: int

    def __str__(self) -> str:
        return f"b{self.number}"

    @property
    def standing(self) -> str:
        """Where figures are not this very build's own, which build's rules stand in for them; "" where they are its own."""
        if self == DEFAULT_BUILD:
            return ""
        if self in KNOWN:
            return f"{self} was measured, and its own rules are not modelled here: figures are those of {DEFAULT_BUILD}"
        before = max((k for k in KNOWN if k < self), default=None)
        after = min((k for k in KNOWN if k > self), default=None)
        if before is not None and after is not None:
            return f"{self} lies between {before} and {after}, which were measured: figures are those of {DEFAULT_BUILD}"
        which = f"after {before}, the newest" if before is not None else f"before {after}, the oldest"
        return f"{self} lies {which} that was measured: figures are those of {DEFAULT_BUILD}"


# builds whose memory and refusals were measured with a server of theirs
KNOWN = (Build(10644), Build(11434), Build(11549))
DEFAULT_BUILD = Build(11434)


def parse_build(text: str) -> Build:
    """`b11434` or `11434`. Raises UsageError."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--build {text}: a build is a number, as in {DEFAULT_BUILD}")
    return Build(int(found[1]))


def build_in(text: str) -> Build | None:
    """The build that a server or a record names; None where it names none."""
    found = _TEXT.fullmatch(text)
    return Build(int(found[1])) if found else None
