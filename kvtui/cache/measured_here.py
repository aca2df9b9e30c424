"""What a pair cost on this very model, measured on this machine: figures, and what they say of pairs nobody measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvtui.cache.divergence import Divergence
from kvtui.flags.cache_types import no_fewer_bits


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


def expected_here(pair: tuple[str, str], here: Sequence[MeasuredHere], series: Callable[[tuple[str, str]], float]) -> float:
    """Mean KL divergence to expect of a pair where any was measured here: the largest measured of it; where it was not, that
    of others, scaled by what the pairs cost in `series`. Fewer bits on neither side cost no more, fewer on both sides no less."""
    if own := of_pair(*pair, here):
        return own[0].divergence.mean
    each = {(m.type_k, m.type_v): m.divergence.mean for m in sorted(here, key=lambda m: m.divergence.mean)}
    richer = [mean for other, mean in each.items() if no_fewer_bits(other, pair)]
    poorer = [mean for other, mean in each.items() if no_fewer_bits(pair, other)]
    scaled = _scaled(series(pair), sorted((series(other), mean) for other, mean in each.items()))
    return max(min([scaled, *poorer]), max(richer, default=0.0))


def _scaled(cost: float, known: Sequence[tuple[float, float]]) -> float:
    """`cost` of a series on the line through what is `known`: (cost in the series, measured), in order. Behind the last it goes
    on by that one's ratio, but not more gently than the series: little lost with many bits promises nothing of few."""
    before, low = 0.0, 0.0
    for at, mean in known:
        high = max(low, mean)
        if cost <= at:
            return low + (high - low) * (cost - before) / (at - before) if at > before else high
        before, low = at, high
    return low + (cost - before) * max(low / before if before else 0.0, 1.0)
