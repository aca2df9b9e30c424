"""Words for a shell: what is printed names the very file, and holds nothing that a terminal would obey."""

import shlex
from collections.abc import Iterable

from kvtui.base.text import printable

_PLAIN = "/._ "  # beside letters and digits: printf takes them as they are
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shell_word(word: str) -> str:
    """One word. As POSIX shells quote where that is printable as it stands; else as $'...' of its very bytes, which
    bash, zsh, ksh and busybox read."""
    if printable(word) == word and not any("\udc80" <= c <= "\udcff" for c in word):
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def script_word(word: str) -> str:
    """One word of a script for any POSIX shell, printable too. ValueError for one that cannot be written so."""
    quoted = shell_word(word)
    if not quoted.startswith("$"):
        return quoted
    if word.endswith("\n"):
        raise ValueError(f"{quoted} ends in a line break, which no POSIX shell takes from printf")
    octal = "".join(c if c.isascii() and (c.isalnum() or c in _PLAIN) else _octal(c) for c in word)
    return f"\"$(printf '{octal}')\""


def shell_line(words: Iterable[str]) -> str:
    """A command."""
    return " ".join(map(shell_word, words))


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii() and character.isprintable():
        return character
    return _octal(character)


def _octal(character: str) -> str:
    """Its bytes; the octal form ends after three digits, whatever follows."""
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", _on_disk(character)))


def _on_disk(character: str) -> str:
    """How Python names a byte that is no UTF-8 (PEP 383); any other lone surrogate is in no file's name."""
    return "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
