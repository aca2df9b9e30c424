"""What the screen remembers of a person between runs: the theme, and that the first hint was seen."""

from dataclasses import dataclass

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.stored import Kept

FILE = "screen.json"


@dataclass(frozen=True)
class Taste:
    """`theme`: its name, "" where none was chosen; `hinted`: the first run is over."""

    theme: str = ""
    hinted: bool = False


def _read(fields: Fields) -> Taste:
    return Taste(fields.text("theme", ""), fields.flag("hinted", False))


_TASTE = Kept(schema=1, read=_read, write=lambda t: {"theme": t.theme, "hinted": t.hinted}, limit_bytes=1 << 16)


def known_taste() -> Taste:
    """What was remembered, or the plain one."""
    return _TASTE.load(state_folder() / FILE) or Taste()


def remember_taste(taste: Taste) -> None:
    """From now on this. A folder that cannot be written to is nobody's trouble: it is asked for again."""
    _TASTE.save_if_possible(state_folder() / FILE, taste)
