"""Text from elsewhere, made safe to print: nothing that moves a cursor, changes a colour or turns the direction."""

import re
import unicodedata
from functools import lru_cache

# ECMA-48: CSI with its parameters, strings (OSC, DCS, SOS, PM, APC) up to their end, other escapes. C1 codes count
# too. A string that never ends loses only its introducer, so that it cannot hide what follows; it stops at the next
# introducer, so that each character is looked at a fixed number of times.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|(?:\x1b[P\]X^_]|[\x90\x98\x9d\x9e\x9f])(?:[^\x1b\x07\x90\x98\x9c-\x9f]*+(?:\x07|\x9c|\x1b\\))?"
    r"|\x1b[ -/]*+[0-~]"
)
_HIDDEN = ("Cf", "Cs", "Zl", "Zp")  # bidi and zero-width controls, tags, lone surrogates, line separators
_UNKNOWN = ("Cn", "Co")  # no width that terminals agree on
_MARKS = ("Mn", "Me")
MARKS_IN_A_ROW = 2  # enough for any script's writing, not for stacking over other lines
STARTERLESS = 30  # UAX 15, stream-safe text: normalizing takes time by the square of a run of marks
REPLACEMENT = "\ufffd"
# Unicode's blocks that a screen without foreign text has: Latin, dashes and dots, arrows, lines and blocks; a column each
_ONE_COLUMN = ((" ", "~"), ("\u00a0", "\u02ff"), ("\u2010", "\u2027"), ("\u2190", "\u2199"), ("\u2500", "\u259f"))


def printable(text: str, limit: int = 0) -> str:
    """One line of printable text: escape sequences gone, tabs as spaces, other controls as their pictures (␊), cut
    with an ellipsis after `limit` characters if given."""
    if not (text.isascii() and text.isprintable()):
        text = _clean(text[: 4 * limit] if limit else text)
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def _clean(text: str) -> str:
    text = _ESCAPE.sub("", text)
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = MARKS_IN_A_ROW  # none before the first letter: it would land on what stands left of this text
    for character in unicodedata.normalize("NFC", _stream_safe(text)):
        category = unicodedata.category(character)
        if category in _MARKS:
            # variation selectors change the width of the character before them, by each terminal's own taste
            if marks < MARKS_IN_A_ROW and not "\ufe00" <= character <= "\ufe0f" and character < "\U000e0100":
                kept.append(character)
                marks += 1
            continue
        if category in _HIDDEN:
            continue
        marks = 0
        if character == "\t":
            kept.append("    ")
        elif category == "Cc":
            kept.append(_picture(character))
        elif category in _UNKNOWN:
            kept.append(REPLACEMENT)
        elif category == "Zs":
            kept.append(" ")
        else:
            kept.append(character)
    return "".join(kept)


def _stream_safe(text: str) -> str:
    """Without the marks past the thirtieth in a row."""
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= STARTERLESS:
            kept.append(character)
    return "".join(kept)


def _picture(control: str) -> str:
    """U+2400 and on: a visible sign for each C0 control."""
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else REPLACEMENT


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    if any(first <= character <= last for first, last in _ONE_COLUMN):
        return 1
    from wcwidth import wcwidth  # late: its tables cost 10 ms, and most screens need none of them

    return max(int(wcwidth(character)), 0)


def columns(text: str) -> int:
    """Columns that printable text takes on a terminal, by the table of wcwidth: wide characters take two, marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def cut(text: str, width: int) -> str:
    """Printable text of at most `width` columns, with an ellipsis where it was cut."""
    if len(text) <= width and columns(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += _width(c)
        if used > width - 1:
            break
        kept.append(c)
    else:
        if used <= width:  # marks take no column: there are more characters than columns
            return text
    return "".join(kept) + "…" if width > 0 else ""
