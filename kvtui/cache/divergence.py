"""How far a pair's next-token distributions are from those of f16/f16, from the likeliest tokens that a server tells.

A server tells the likeliest few tokens, not the whole vocabulary. Tokens that both lists have are compared one by one, all
others as one lump. Lumping can only hide a difference (the data-processing inequality), so the divergence is a lower bound
of the true one; the likeliest token is compared exactly."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

TAIL = 0.999  # as llama.cpp's tools/perplexity/perplexity.cpp, kl_divergence, prints it
POSITIONS, MOST_POSITIONS = 128, 2000  # of a text, by default and at most: 2,000 are 5 MB to keep
EXACT_POSITIONS = 1000  # by default with llama-perplexity, which reads a chunk at once; 0.5 GB for the largest vocabularies
_LEAST = 1e-9  # probability of a lump that rounding made 0 or less


@dataclass(frozen=True)
class Likeliest:
    """The likeliest next tokens at one position, the likeliest first, with their natural logarithms of probability."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class Divergence:
    """Of a pair from f16/f16 over `positions` positions. `mean`, `tail` (99.9 %): KL divergence in nats, lower bounds unless
    `exact`; `top_1`: the fraction of positions with the same likeliest token."""

    mean: float
    tail: float
    top_1: float
    positions: int
    exact: bool = False


def kl_divergence(reference: Likeliest, other: Likeliest) -> float:
    """KL(reference || other) in nats over the tokens that both tell and one lump of the rest: a lower bound, 0 or more."""
    p, q = (dict(zip(x.tokens, x.logprobs, strict=True)) for x in (reference, other))
    both = p.keys() & q.keys()
    found = sum(math.exp(p[t]) * (p[t] - q[t]) for t in both)
    rest_p, rest_q = (max(1 - math.fsum(math.exp(x[t]) for t in both), _LEAST) for x in (p, q))
    return max(found + rest_p * math.log(rest_p / rest_q), 0.0)


def percentile(values: Sequence[float], fraction: float) -> float:
    """Between the two nearest of the sorted values, as perplexity.cpp's percentile. ValueError if there are none."""
    if not values:
        raise ValueError("no value")
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def divergence(reference: Sequence[Likeliest], other: Sequence[Likeliest]) -> Divergence:
    """Over the positions of one text. ValueError if there are none, or not as many of each."""
    each = [kl_divergence(a, b) for a, b in zip(reference, other, strict=True)]
    tail = percentile(each, TAIL)
    same = sum(a.tokens[0] == b.tokens[0] for a, b in zip(reference, other, strict=True))
    return Divergence(math.fsum(each) / len(each), tail, same / len(each), len(each))
