"""Regular expressions that anybody may have written, searched in tensors' names in bounded time.

A search that backtracks takes time by the power of the repetitions and choices in a pattern: `(.+)+!` outlives the program. Where
there are few of them it is quick all the same; else all ways are followed at once (automaton.py). What that cannot follow, a look
ahead or a back reference, is refused there."""

import re
from functools import lru_cache

from kvtui.base.findings import UsageError
from kvtui.flags.automaton import Automaton, NotRegularError, Pattern, tokens

MOST_CHARACTERS = 1 << 16  # of a pattern; one that names each tensor of a large model takes half of it
NAME_BYTES = 64  # with the 0 at its end: ggml.h, GGML_MAX_NAME
QUICK_WAYS = NAME_BYTES**2  # through a pattern from one place of a name: microseconds
_SHOWN = 40  # characters of a pattern that is too long


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Pattern:
    """`pattern` as a regular expression. ECMAScript's and Python's agree on what tensor patterns use. Raises UsageError."""
    if len(pattern) > MOST_CHARACTERS:
        raise UsageError(f"{pattern[:_SHOWN]}…: {len(pattern):,} characters; at most {MOST_CHARACTERS:,} are searched")
    try:
        plain = re.compile(pattern)
        return plain if _ways(pattern) <= QUICK_WAYS else Automaton(pattern)
    except NotRegularError as e:
        raise UsageError(f"{pattern}: could take for ever to search: {e}") from None
    except (re.error, RecursionError, OverflowError) as e:
        raise UsageError(f"{pattern}: not a regular expression: {e}") from None


def _ways(pattern: str) -> int:
    """At most so many ways lead through the pattern from one place of a name. A list of choices that makes up all of it counts
    as one of them: they are tried one after the other."""
    ways, behind = 1, ""
    bars: list[int] = []  # choices of each group that is open
    for token in tokens(pattern):
        if token["open"] or ((token["other"] or "").startswith("(") and not token[0].endswith(")")):
            bars.append(1)
        elif token["either"] and bars:
            bars[-1] += 1
        elif token["close"] and bars:
            ways *= bars.pop()
        elif token["repeat"]:
            ways *= NAME_BYTES if behind != ")" else QUICK_WAYS + 1
        behind = token[0]
        if ways > QUICK_WAYS:
            break
    return ways
