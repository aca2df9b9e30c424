"""Lines for a terminal that draws ASCII alone: each sign gives way to one of the same width."""

import unicodedata

from kvtui.base.text import columns
from kvtui.tui.lines import Line

_SIGNS = str.maketrans(
    {"…": "~", "│": "|", "·": ".", "▸": ">", "●": "*", "↑": "^", "↓": "v", "←": "<", "→": ">", "–": "-", "—": "-"}
)


def in_ascii(content: Line) -> Line:
    """The line in ASCII, as wide as it was; a letter loses its accents, anything else becomes a question mark."""
    if all(text.isascii() for text, _ in content):
        return content
    return tuple((text if text.isascii() else "".join(map(_plain, text.translate(_SIGNS))), style) for text, style in content)


def _plain(character: str) -> str:
    if character.isascii():
        return character
    letter = unicodedata.normalize("NFKD", character)[0]
    return letter if letter.isascii() and letter.isprintable() and columns(character) == 1 else "?" * columns(character)
