"""Text from elsewhere, made safe to print: nothing that moves a cursor, changes a colour or turns the direction."""

import re
import unicodedata

# ECMA-48: CSI with its parameters, strings (OSC, DCS, SOS, PM, APC) up to their end, other escapes. C1 codes count
# too. A string that never ends loses only its introducer, so that it cannot hide what follows.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[P\]X^_]|[\x90\x98\x9d\x9e\x9f])[^\x1b\x07\x9c]*(?:\x07|\x9c|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
)
_HIDDEN = ("Cf", "Cs", "Zl", "Zp")  # bidi and zero-width controls, tags, lone surrogates, line separators
_UNKNOWN = ("Cn", "Co")  # no width that terminals agree on
_MARKS = ("Mn", "Me")
MARKS_IN_A_ROW = 2  # enough for any script's writing, not for stacking over other lines
REPLACEMENT = "\ufffd"


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
    for character in unicodedata.normalize("NFC", text):
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


def _picture(control: str) -> str:
    """U+2400 and on: a visible sign for each C0 control."""
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else REPLACEMENT


def columns(text: str) -> int:
    """Columns that printable text takes on a terminal: wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Printable text of at most `width` columns, with an ellipsis where it was cut."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += columns(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept) + "…" if width > 0 else ""
