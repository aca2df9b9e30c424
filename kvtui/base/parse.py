"""JSON and TOML from files that anybody may have written: bounded in depth, and every fault a sentence."""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

MOST_DEPTH = 32  # objects and arrays within each other; kvtui's own files have 6
MOST_KEY_PARTS = 16  # a.b.c in TOML, whose parser takes time by the square of them

# A string is taken to its end or, where it has none, to the end of the text: each byte is looked at once.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)|([\[{])|([\]}])', re.DOTALL)
_TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|\'\'\'(?:[^\']|\'(?!\'\'))*+(?:\'\'\'|\Z)'
    r'|"(?:[^"\\\n]|\\.)*+"?|\'[^\'\n]*+\'?|#[^\n]*+|([\[{])|([\]}])|(\.)|(\n)',
    re.DOTALL,
)


class ParseError(ValueError):
    """What is wrong with a text, and on which line."""

    def __init__(self, said: str, line: int = 1) -> None:
        super().__init__(said)
        self.line = line


def parse_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value of a JSON text. `pairs` makes an object of its keys and values. Raises ParseError."""
    depth = 0
    for token in _JSON_TOKEN.finditer(text):
        depth += 1 if token[1] else -1 if token[2] else 0
        if depth > MOST_DEPTH:
            raise ParseError(f"nested more than {MOST_DEPTH} deep", _line(text, token.start()))
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as e:
        raise ParseError(f"not JSON: {e.msg}", e.lineno) from None
    except (ValueError, RecursionError) as e:  # a number of more digits than Python reads
        raise ParseError(f"not JSON: {str(e).partition(';')[0]}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text. Raises ParseError."""
    depth = dots = 0
    for token in _TOML_TOKEN.finditer(text):
        depth += 1 if token[1] else -1 if token[2] else 0
        dots = 0 if token[4] else dots + bool(token[3])
        if depth > MOST_DEPTH or dots > MOST_KEY_PARTS:
            raise ParseError(f"nested more than {MOST_DEPTH} deep", _line(text, token.start()))
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as e:
        raise ParseError(f"not a TOML file: {str(e).partition(';')[0]}") from None


def _no_constant(name: str) -> float:
    raise ParseError(f"not JSON: {name} is no number")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
