"""The codes of styles (ECMA-48, SGR): the shortest that lead from one to another."""

from functools import lru_cache

from rich.color import ColorSystem
from rich.style import Style

PLAIN = Style()
RESET = "\x1b[0m"
_ON = {"bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7", "strike": "9"}
_OFF = {"bold": "22", "dim": "22", "italic": "23", "underline": "24", "reverse": "27", "strike": "29"}
_SEEN_ON_A_BLANK = ("underline", "reverse", "strike")


@lru_cache(maxsize=4096)
def codes(before: Style | None, wanted: Style, system: ColorSystem) -> str:
    """SGR codes from one style to another; None: nothing is known of the style in force."""
    if before == wanted:
        return ""
    parts: list[str] = []
    if before is None:
        parts, before = ["0"], PLAIN
    was, will = _attributes(before), _attributes(wanted)
    off = {_OFF[name] for name in was if name not in will}
    parts += sorted(off)
    parts += [_ON[name] for name in will if name not in was or _OFF[name] in off]
    for foreground in (True, False):
        new = _colour(wanted, foreground, system)
        if new != _colour(before, foreground, system):
            parts += new or (("39",) if foreground else ("49",))
    return f"\x1b[{';'.join(parts)}m" if parts else ""


@lru_cache(maxsize=4096)
def blank(style: Style) -> Style:
    """What can be seen of a space in this style."""
    return style if marks(style) else Style(bgcolor=style.bgcolor)


@lru_cache(maxsize=4096)
def blank_over(before: Style | None, wanted: Style) -> Style:
    """The style nearest to `before` in which a space looks as in `wanted`, which `blank` has made."""
    if before is None or marks(before) or marks(wanted):
        return wanted
    return Style(color=before.color, bgcolor=wanted.bgcolor, bold=before.bold, dim=before.dim, italic=before.italic)


def marks(style: Style) -> bool:
    """Whether it shows on a space by more than its background."""
    return any(getattr(style, name) for name in _SEEN_ON_A_BLANK)


def _attributes(style: Style) -> tuple[str, ...]:
    return tuple(name for name in _ON if getattr(style, name))


def _colour(style: Style, foreground: bool, system: ColorSystem) -> tuple[str, ...]:
    colour = style.color if foreground else style.bgcolor
    if colour is None or colour.is_default:
        return ()
    return tuple(colour.downgrade(system).get_ansi_codes(foreground=foreground))
