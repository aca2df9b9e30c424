"""Builds of llama.cpp as values."""

import pytest

from kvtui.base.build import DEFAULT_BUILD, KNOWN, Build, build_in, parse_build
from kvtui.base.findings import UsageError


def test_both_spellings_are_one_build_and_builds_are_ordered_by_number() -> None:
    assert parse_build("b11434") == parse_build("11434") == Build(11434)
    assert str(parse_build("11434")) == "b11434"
    assert Build(9999) < Build(10644)


@pytest.mark.parametrize("text", ["nonsense", "", "b", "b-1", "b1.2", "11434x"])
def test_what_is_no_build_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a build is a number"):
        parse_build(text)
    assert build_in(text) is None


def test_the_port_follows_the_build() -> None:
    ports = {number: Build(number).port for number in (10644, 11434, 11548, 11549)}
    assert ports == {10644: 8080, 11434: 8080, 11548: 8080, 11549: 9931}


def test_an_unknown_build_says_where_it_lies() -> None:
    oldest, *_, before, newest = KNOWN
    between = Build((before.number + newest.number) // 2)
    assert [build.standing for build in KNOWN] == [""] * len(KNOWN)
    assert DEFAULT_BUILD in KNOWN
    assert between.standing.startswith(f"{between} lies between {before} and {newest}")
    assert between.standing.endswith(f"figures are those of {before}")
    assert Build(10800).standing.endswith("figures are those of b10644 with what b10752 changed")
    assert f"after {newest}, the newest" in Build(newest.number + 1).standing
    assert f"before {oldest}, the oldest" in Build(oldest.number - 1).standing
