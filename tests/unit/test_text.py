"""What text from elsewhere may become on a screen."""

import unicodedata

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from kvtui.base.text import columns, printable


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        ("a\x1b[31mred\x1b[0m", "ared"),  # CSI
        ("\x9b31mx", "x"),  # CSI as one C1 byte
        ("\x1b]52;c;cm0gLXJm\x07x", "x"),  # OSC 52 writes the clipboard
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$rq\x1b\\x", "x"),  # DCS
        ("\x1bcx", "x"),  # RIS resets the terminal
        ("\x1b]0;a title without an end", "0;a title without an end"),
        ("two\nlines\r", "two␊lines␍"),
        ("a\tb", "a    b"),
        ("\u202egnp.exe", "gnp.exe"),  # right-to-left override
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("e\u0301", "é"),
        ("x" + "\u0336" * 50, "x\u0336\u0336"),  # stacked marks
        ("\u0301x", "x"),  # a mark without a letter would land on its neighbour
        ("\ud800x", "x"),
        ("\ue000x", "\ufffdx"),
        ("中文 नमस्ते", "中文 नमस्ते"),
        ("[bold red]markup[/]", "[bold red]markup[/]"),
    ],
)
def test_known_cases(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_columns_are_those_of_wcwidths_table() -> None:
    for code in (*range(0x20, 0x7F), *range(0xA0, 0x3000)):
        assert columns(chr(code)) == max(wcwidth.wcwidth(chr(code)), 0), hex(code)


def test_limit_ends_with_an_ellipsis() -> None:
    assert printable("a" * 100, 10) == "aaaaaaaaa…"
    assert printable("a" * 10, 10) == "a" * 10


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b\x07\x9b\x9c\x90[]P\\;?m\u202e\u0301"), max_size=80))
def test_nothing_but_printable_text_comes_out(raw: str) -> None:
    shown = printable(raw)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") for c in shown)


@given(st.text(max_size=80))
def test_cleaning_again_changes_nothing(raw: str) -> None:
    assert printable(printable(raw)) == printable(raw)
