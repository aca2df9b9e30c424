"""How much room there is on the terminal, and what it can draw."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_PLAIN_TERMINALS = ("dumb", "linux")  # no eighths of a cell in their fonts
_UNTRANSLATED = ("", "C", "POSIX")


@dataclass(frozen=True)
class Room:
    """Columns and lines. `unicode`: frames and eighths of cells can be drawn; `colour`: segments can differ by it."""

    width: int
    height: int
    unicode: bool = True
    colour: bool = True

    @property
    def solid(self) -> bool:
        """Whether bars are cells filled by colour; else they are letters."""
        return self.unicode and self.colour


def draws_unicode(env: Mapping[str, str], coerced: bool | None = None) -> bool:
    """Whether the locale is one of UTF-8. `coerced`: Python replaced LC_CTYPE of the C locale by its own (PEP 538), which says
    nothing about the terminal; None: as this interpreter did."""
    if env.get("TERM") in _PLAIN_TERMINALS:
        return False
    if sys.platform in ("win32", "darwin"):  # their terminals draw UTF-8 whatever the locale
        return True
    if coerced is None:
        coerced = sys.flags.utf8_mode == 1 and "PYTHONUTF8" not in os.environ
    names = ["LC_ALL", "LANG"] if coerced and env.get("LANG", "") in _UNTRANSLATED else ["LC_ALL", "LC_CTYPE", "LANG"]
    chosen = next((env[name] for name in names if env.get(name)), "")
    return chosen.casefold().replace("-", "").endswith("utf8")
