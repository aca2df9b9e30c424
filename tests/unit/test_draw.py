"""Bars, amounts, frames and codes: what each draws, counted by hand."""

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from kvtui.base.sizes import amount, short_context
from kvtui.tui.draw.amounts import share, short_card
from kvtui.tui.draw.ascii import in_ascii
from kvtui.tui.draw.bars import bar, sparkline
from kvtui.tui.draw.room import draws_unicode
from kvtui.tui.draw.sent import Terminal
from kvtui.tui.lines import folded_line, line

GIB = 2**30


def drawn(spans: tuple[tuple[str, str], ...]) -> str:
    return "".join(text for text, _ in spans)


def test_a_word_longer_than_the_line_is_cut_and_goes_on() -> None:
    parts = [drawn(part).strip() for part in folded_line(line("  ", ("/a/" + "b" * 30, "dim")), 16)]
    assert "".join(parts) == "/a/" + "b" * 30
    assert len(parts) == 3


def test_a_bar_is_solid_to_an_eighth_of_a_cell_or_letters() -> None:
    parts = {"weights": 25, "kv": 25, "free": 40, "margin": 10}
    assert drawn(bar(parts, 100, 10, solid=True)) == "██▌██    ░"
    assert drawn(bar(parts, 100, 10, solid=False)) == "==+++....-"


def test_live_use_is_a_mark_over_the_plan_and_too_much_is_a_word() -> None:
    assert drawn(bar({"weights": 80, "free": 20}, 100, 10, solid=True, live=50)) == "█████┃██  "
    assert drawn(bar({"weights": 100}, 100, 10, solid=False, over=True)) == "======OVER"


def test_groups_of_a_sparkline_stay_while_samples_come() -> None:
    assert sparkline([0, 0, 0, 8, 8, 8], 0, 8, 4, 3, unicode=True) == "  ▁█"
    assert sparkline([0, 0, 8, 8, 8, 4], 1, 8, 4, 3, unicode=True) == " ▁█▅"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
        ("AMD Radeon Graphics", "Radeon Graphics"),
        ("RTX A4000", "RTX A4000"),
    ],
)
def test_cards_lose_their_vendor(name: str, short: str) -> None:
    assert short_card(name) == short


def test_amounts_are_never_nothing_of_a_large_unit() -> None:
    assert amount(300 * 2**20) == "300 MiB"
    assert amount(2048) == "2 KiB"
    assert share(300 * 2**20, 24 * GIB) == "300 MiB / 24.0 GiB"
    assert share(12 * GIB, 24 * GIB) == "12.0 / 24.0 GiB"
    assert [short_context(n) for n in (32768, 32000, 132000, 512)] == ["32k", "32k", "132k", "512"]


def test_only_ascii_is_left_and_the_width_stays() -> None:
    assert in_ascii(line("é…·☂漢")) == (("e~.???", "text"),)


@pytest.mark.parametrize(
    ("env", "unicode"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "de_DE.UTF-8", "TERM": "dumb"}, False),
    ],
)
def test_the_locale_says_what_can_be_drawn(env: dict[str, str], unicode: bool) -> None:
    assert draws_unicode(env, coerced=True) is unicode


def test_a_long_line_is_folded_and_nothing_of_it_is_lost() -> None:
    lines = folded_line(line("  key   ", ("one two three four five", "dim")), 16)
    assert ["".join(t for t, _ in content) for content in lines] == ["  key   one two", "    three four", "    five"]


def test_a_terminal_is_sent_the_cells_that_differ() -> None:
    terminal = Terminal()

    def sent(text: str, style: Style) -> str:
        update = LayoutUpdate([[Strip([Segment(text, style)], len(text))]], Region(0, 0, len(text), 1))
        return terminal.changes(update, ColorSystem.TRUECOLOR)

    red = Style.parse("#ff0000")
    assert sent("used 10 of 24", red) == "\x1b[1H\x1b[0;38;2;255;0;0mused 10 of 24"
    assert sent("used 12 of 24", red) == "\x1b[1;7H2"  # in the style that is in force
    assert sent("used 12 of 24", red) == ""
    terminal.forget()
    assert sent("used 12 of 24", red).count("used 12 of 24") == 1
