"""Patterns are searched as Python's own search finds, and none takes for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvtui.base.findings import UsageError
from kvtui.flags.automaton import Automaton
from kvtui.flags.patterns import MOST_CHARACTERS, compiled

NAMES = ("", "a", "blk.0.ffn_up_exps.weight", "token_embd.weight", "output.weight", "b" * 63)
EXPLODING = (
    r"(.+)+!",
    r"([a-z._0-9]+)+!",
    r"(b|b)(b|b)" * 12 + "!",
    r"(b?){40}b{40}!",
    r".*.*.*.*.*.*.*.*!",
    r"(b*)*(b*)*~",
    r"((b{1,3}){1,4}){1,5}!",
    r"^(b|bb|bbb)*!",
    r"(?:\w+\s?)+\.!",
)
ATOMS = st.sampled_from(["a", "b", ".", r"\.", r"\d", "[ab]", "[^b]", r"\w", "", "^", "$", r"\b", r"\B", "-"])
REPEATS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"])


def _repeated(parts: tuple[str, str]) -> str:
    part, repeat = parts
    return part if part in ("", "^", "$", r"\b", r"\B") else part + repeat


PATTERNS = st.recursive(
    st.tuples(ATOMS, REPEATS).map(_repeated),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(st.lists(inner, min_size=1, max_size=3), st.sampled_from(["", "*", "+", "?", "{2,3}"])).map(
            lambda made: f"({'|'.join(made[0])}){made[1]}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("ab.-1", min_size=1, max_size=8))
def test_an_automaton_finds_what_a_search_finds(pattern: str, name: str) -> None:
    assert Automaton(pattern).search(name) == (re.search(pattern, name) is not None)


@pytest.mark.parametrize("pattern", EXPLODING)
def test_what_explodes_comes_to_an_end(pattern: str) -> None:
    searched = compiled(pattern)
    assert isinstance(searched, Automaton)
    assert not any(searched.search(name) for name in NAMES)
    assert compiled(pattern.replace("!", ".").replace("~", "")).search("b" * 61 + "..")


@pytest.mark.parametrize("pattern", [r"(?=(.+)+)!", r"(.+)+\1", r"(?<!a)(b+)+", r"(?i)(b+)+", "(?:b{1,999}){9}"])
def test_what_could_explode_and_cannot_be_followed_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="could take for ever"):
        compiled(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"blk\.\d+\.ffn_(?!gate).*", r"exps", r"\.ffn_(up|down|gate|gate_up)_(ch|)exps", "|".join(f"blk.{i}." for i in range(500))],
)
def test_what_is_quick_is_left_to_pythons_search(pattern: str) -> None:
    assert isinstance(compiled(pattern), re.Pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", "a" * (MOST_CHARACTERS + 1), "(" * 5000 + ")" * 5000])
def test_what_is_no_pattern_is_one_sentence(pattern: str) -> None:
    with pytest.raises(UsageError) as said:
        compiled(pattern)
    assert "\n" not in str(said.value)


def test_a_list_of_blocks_is_found_among_them() -> None:
    blocks = "|".join(map(str, range(40, 100)))
    searched = compiled(rf"^blk\.({blocks})\.(ffn_.*|attn_(k|v)(\.bias)?)\.weight$")
    assert isinstance(searched, Automaton)
    found = [b for b in range(128) if searched.search(f"blk.{b}.ffn_up_exps.weight")]
    assert found == list(range(40, 100))
    assert searched.search("blk.40.attn_k.bias.weight")
    assert not searched.search("blk.40.attn_q.weight")
