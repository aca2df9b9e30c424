"""Untrusted text made fit for a terminal: printable characters of known width, nothing else."""

import re
import unicodedata

# CSI, OSC, DCS/SOS/PM/APC strings, and two-character escapes
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?|[\x9b][0-?]*[ -/]*[@-~]")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Mc", "Zl", "Zp"))
_PLAIN = re.compile(r"^[\x20-\x7e]*$")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, width: int | None = None) -> str:
    """`text` without escape sequences, control, bidi, zero-width and combining characters; tabs become spaces.

    `width`: cut to so many columns, with an ellipsis."""
    if not _PLAIN.match(text):
        text = _ESCAPES.sub("", text.replace("\t", "    ").replace("\n", " ").replace("\r", " "))
        text = "".join(c for c in text if unicodedata.category(c) not in _HIDDEN)
    if width is None or columns(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += columns(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept) + "…" if width > 0 else ""


def columns(text: str) -> int:
    """Columns `text` takes on a terminal; `text` is printable."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
