"""KL divergence from the likeliest tokens alone, with values that a person can work out."""

from math import log

import pytest

from kvtui.cache.divergence import Likeliest, divergence, kl_divergence, percentile


def likeliest(**probabilities: float) -> Likeliest:
    """Tokens a, b, c ... by probability, the likeliest first."""
    ordered = sorted(probabilities.items(), key=lambda x: -x[1])
    return Likeliest(tuple(ord(name) for name, _ in ordered), tuple(log(p) for _, p in ordered))


def test_a_distribution_does_not_diverge_from_itself() -> None:
    same = likeliest(a=0.7, b=0.2)
    assert kl_divergence(same, same) == 0.0


def test_two_tokens_and_nothing_else() -> None:
    # 1/2 ln(1/2 : 1/4) + 1/2 ln(1/2 : 3/4) = 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3
    found = kl_divergence(likeliest(a=0.5, b=0.5), likeliest(b=0.75, a=0.25))
    assert found == pytest.approx(0.5 * log(4 / 3), abs=1e-7)


def test_what_is_not_told_is_one_lump() -> None:
    # a: 1/2 against 1/4, and a lump of 1/2 against 3/4
    found = kl_divergence(likeliest(a=0.5), likeliest(a=0.25))
    assert found == pytest.approx(0.5 * log(4 / 3))


def test_a_token_that_only_one_tells_is_part_of_the_lump() -> None:
    """b is told by one, c by the other: both are in lumps of 1/2 and 3/4."""
    found = kl_divergence(likeliest(a=0.5, b=0.3), likeliest(a=0.25, c=0.2))
    assert found == pytest.approx(0.5 * log(4 / 3))


def test_the_lump_makes_it_a_lower_bound() -> None:
    whole, other = likeliest(a=0.6, b=0.3, c=0.1), likeliest(a=0.6, b=0.1, c=0.3)
    told = [Likeliest(x.tokens[:1], x.logprobs[:1]) for x in (whole, other)]
    true = 0.3 * log(3) + 0.1 * log(1 / 3)
    assert kl_divergence(whole, other) == pytest.approx(true, abs=1e-7)
    assert kl_divergence(*told) == pytest.approx(0.0, abs=1e-12)
    assert true > 0.2


def test_nothing_in_common_is_all_lump() -> None:
    assert kl_divergence(likeliest(a=0.9), likeliest(b=0.9)) == 0.0


@pytest.mark.parametrize(("fraction", "value"), [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.999, 3.997)])
def test_a_percentile_lies_between_its_neighbours(fraction: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], fraction) == pytest.approx(value)


def test_over_a_text() -> None:
    flat, steep, turned = likeliest(a=0.5, b=0.5), likeliest(a=0.75, b=0.25), likeliest(b=0.75, a=0.25)
    found = divergence([steep, flat, steep, flat], [steep, flat, steep, turned])
    assert found.mean == pytest.approx(0.5 * log(4 / 3) / 4, abs=1e-7)
    assert found.tail == pytest.approx(0.5 * log(4 / 3) * (0.999 * 3 - 2), abs=1e-7)
    assert (found.top_1, found.positions) == (0.75, 4)


def test_as_many_positions_of_each_are_needed() -> None:
    one = likeliest(a=0.5)
    with pytest.raises(ValueError, match="zip"):
        divergence([one, one], [one])
    with pytest.raises(ValueError, match="no value"):
        divergence([], [])
