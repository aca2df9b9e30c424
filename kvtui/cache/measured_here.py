"""What a pair cost on this very model, measured on this machine: figures, and what they say of pairs nobody measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.cache.divergence import Divergence
from kvtui.flags.cache_types import CACHE_TYPES


@dataclass(frozen=True)
class MeasuredHere:
    """One pair on one text. `needles`: (found, asked) in a prompt of `context` tokens; `reference_needles`: how many of
    them f16/f16 found; `at`: seconds since the epoch."""

    type_k: str
    type_v: str
    divergence: Divergence
    needles: tuple[int, int]
    reference_needles: int
    context: int
    text: str  # its source
    build: str
    at: float

    @property
    def lost(self) -> str:
        """A sentence where it fails to find what f16/f16 finds; else nothing. A model that does not find all with f16/f16
        is not up to the task, and its count says nothing of the pair."""
        found, asked = self.needles
        if found == asked or self.reference_needles < asked:
            return ""
        return f"measured here: in a prompt of {self.context:,} tokens it finds {found} of {asked} hidden numbers, f16/f16 all"


def of_pair(type_k: str, type_v: str, here: Sequence[MeasuredHere]) -> tuple[MeasuredHere, ...]:
    """What was measured of this pair, the text on which it lost most first."""
    own = [m for m in here if (m.type_k, m.type_v) == (type_k, type_v)]
    return tuple(sorted(own, key=lambda m: -m.divergence.mean))


def expected_here(type_k: str, type_v: str, expected: float, here: Sequence[MeasuredHere]) -> float:
    """Mean KL divergence to expect of a pair: the largest measured of it here; where it was not, `expected` within what
    was measured of others. Fewer bits on neither side cost no more, fewer on both sides no less."""
    if own := of_pair(type_k, type_v, here):
        return own[0].divergence.mean
    bits = _bits(type_k, type_v)
    richer = [m.divergence.mean for m in here if _no_fewer(_bits(m.type_k, m.type_v), bits)]
    poorer = [m.divergence.mean for m in here if _no_fewer(bits, _bits(m.type_k, m.type_v))]
    return max(min([expected, *poorer]), max(richer, default=0.0))


def _bits(type_k: str, type_v: str) -> tuple[float, float]:
    return CACHE_TYPES[type_k].bits, CACHE_TYPES[type_v].bits


def _no_fewer(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1]
