"""What is sent to a terminal makes it show what the app draws, whichever order and codes are the shortest."""

import random
import re
from itertools import pairwise

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from kvtui.tui.draw.sent import Terminal
from kvtui.tui.draw.sgr import blank, codes
from kvtui.tui.work.sending import ASKED_SECONDS, Pace

WIDTH, HEIGHT = 40, 6
STYLES = tuple(
    Style.parse(text)
    for text in (
        "#d0d4d8 on #101418",
        "#8a949e on #101418",
        "bold #ffffff on #101418",
        "#f0b040 on #1f272f",
        "reverse #d0d4d8",
        "red",
    )
)
Screen = list[list[tuple[str, str]]]


class Emulated:
    """A terminal that knows the codes which are sent: cells of (character, what it looks like)."""

    def __init__(self) -> None:
        self.cells: Screen = [[(" ", "")] * WIDTH for _ in range(HEIGHT)]
        self.x, self.y, self.style = 7, 3, "unknown"  # somebody was here before

    def feed(self, text: str) -> None:
        for code, character in re.findall(r"\x1b\[([0-9;]*[A-Za-z])|(.)", text, re.DOTALL):
            if character == "\r":
                self.x = 0
            elif character == "\b":
                self.x -= 1
            elif character:
                self._draw(character)
            else:
                self._do(code[-1], [int(n) for n in code[:-1].split(";") if n])

    def _draw(self, character: str) -> None:
        self.cells[self.y][self.x] = (character, self.style)
        if character == "宽":
            self.cells[self.y][self.x + 1] = ("", self.style)
        self.x = min(self.x + (2 if character == "宽" else 1), WIDTH - 1)  # it does not go on by itself: DECAWM is off

    def _do(self, letter: str, numbers: list[int]) -> None:
        count = numbers[0] if numbers else 1
        if letter == "m":
            shown = dict(part.split("=") for part in self.style.split(",") if "=" in part)
            self.style = ",".join(f"{k}={v}" for k, v in sorted(_after(shown, numbers).items()))
        elif letter == "H":
            self.y, self.x = count - 1, (numbers[1] if len(numbers) > 1 else 1) - 1
        elif letter == "X":
            behind = ",".join(p for p in self.style.split(",") if p.startswith("48"))
            for x in range(self.x, min(self.x + count, WIDTH)):
                self.cells[self.y][x] = (" ", behind)
        else:
            self.x += {"C": count, "D": -count}.get(letter, 0)
            self.y += {"B": count, "A": -count}.get(letter, 0)


def _after(shown: dict[str, str], numbers: list[int]) -> dict[str, str]:
    while numbers:
        n = numbers.pop(0)
        if n == 0:
            shown = {}
        elif n in (38, 48):
            size = 4 if numbers[0] == 2 else 2
            shown[str(n)] = "/".join(map(str, numbers[:size]))
            numbers = numbers[size:]
        elif n in (22, 27, 39, 49):
            for name in {22: ("bold",), 27: ("reverse",), 39: ("38",), 49: ("48",)}[n]:
                shown.pop(name, None)
        elif n in (1, 7):
            shown[{1: "bold", 7: "reverse"}[n]] = "1"
        else:
            shown["38"] = str(n)
    return shown


def whole(lines: list[list[Segment]]) -> LayoutUpdate:
    return LayoutUpdate([[Strip(line, WIDTH)] for line in lines], Region(0, 0, WIDTH, HEIGHT))


def seen(cell: tuple[str, str]) -> tuple[str, str]:
    """Of a space only what is behind it, where it is not drawn in reverse."""
    character, style = cell
    if character == " " and "reverse" not in style:
        return character, ",".join(p for p in style.split(",") if p.startswith("48"))
    return cell


def drawn(random_: random.Random) -> list[list[Segment]]:
    lines = []
    for _ in range(HEIGHT):
        line, left = [], WIDTH
        while left:
            size = min(random_.randint(1, 9), left)
            text = "".join(random_.choice("ab  █1") for _ in range(size))
            if random_.random() < 0.2:
                text = " " * min(random_.randint(8, 30), left)
                size = len(text)
            if size > 3 and text.strip() and random_.random() < 0.3:
                text = text[:-2] + "宽"
            line.append(Segment(text, random_.choice(STYLES)))
            left -= size
        lines.append(line)
    return lines


@pytest.mark.parametrize("system", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT])
@pytest.mark.parametrize("seed", range(12))
def test_a_terminal_shows_what_was_drawn(seed: int, system: ColorSystem) -> None:
    random_, terminal, shown = random.Random(seed), Terminal(), Emulated()
    lines = drawn(random_)
    for _ in range(12):
        shown.feed(terminal.changes(whole(lines), system))
        fresh = Emulated()
        fresh.feed(Terminal().changes(whole(lines), system))
        assert [[seen(c) for c in row] for row in shown.cells] == [[seen(c) for c in row] for row in fresh.cells]
        text = ["".join(s.text for s in line) for line in lines]
        assert ["".join(c for c, _ in row) for row in shown.cells] == text
        other = drawn(random_)
        lines = [other[y] if random_.random() < 0.4 else lines[y] for y in range(HEIGHT)]


def test_cells_of_a_style_are_sent_together_where_that_is_shorter() -> None:
    terminal = Terminal()
    a, b = STYLES[0], STYLES[3]

    def sent(*texts: str) -> str:
        lines = [[Segment(text, a), Segment(text.rjust(WIDTH - len(text)), b)] for text in texts]
        return terminal.changes(whole(lines), ColorSystem.TRUECOLOR)

    sent(*["00"] * HEIGHT)
    later = sent(*["11"] * HEIGHT)
    assert later.count("38;2;") == 1  # the other style is in force still
    assert "\x1b[0m" not in later
    assert sent(*["11"] * HEIGHT) == ""


def test_the_cursor_does_not_follow_what_is_erased_last() -> None:
    terminal, style = Terminal(), STYLES[0]
    terminal.changes(whole([[Segment("a" * WIDTH, style)]] * HEIGHT), ColorSystem.TRUECOLOR)
    lines = [[Segment("a" + " " * (WIDTH - 2) + "a", style)] for _ in range(HEIGHT)]
    sent = terminal.changes(whole(lines), ColorSystem.TRUECOLOR)
    assert sent.count(f"\x1b[{WIDTH - 2}X") == HEIGHT
    assert "C" not in sent


def test_no_colour_is_sent_for_what_stands_before_nothing() -> None:
    a, b = STYLES[0], STYLES[1]
    assert blank(a) == blank(b)
    terminal = Terminal()
    lines = [[Segment("a" * WIDTH, a)] for _ in range(HEIGHT)]
    terminal.changes(whole(lines), ColorSystem.TRUECOLOR)
    lines[0] = [Segment(" " * WIDTH, b)]
    assert "38;2" not in terminal.changes(whole(lines), ColorSystem.TRUECOLOR)
    assert codes(a, b, ColorSystem.TRUECOLOR).count("48;2") == 0


def test_what_nobody_asked_for_keeps_to_its_rate() -> None:
    pace, now, count = Pace(rate=5_000), 0.0, 0
    while now < 20:
        now += max(pace.wait(now), 0.01)
        pace.sent(now, 3_000)
        count += 3_000
    assert count / now <= 5_000 * 1.05
    assert count / now > 4_000


def test_the_answer_to_a_key_does_not_wait() -> None:
    pace = Pace(rate=1_000, least=2.0)
    pace.sent(0.0, 10_000)
    assert pace.wait(1.0) == pytest.approx(9.0)
    pace.asked(1.0)
    assert pace.wait(1.0 + ASKED_SECONDS / 2) == 0.0
    pace.sent(1.1, 20_000)
    assert pace.wait(1.1 + ASKED_SECONDS) == pytest.approx(2.0 - ASKED_SECONDS)


def test_a_longer_frame_is_followed_by_a_longer_pause() -> None:
    waits = []
    for count in (100, 1_000, 10_000):
        pace = Pace()
        pace.sent(0.0, count)
        waits.append(pace.wait(0.0))
    assert all(a < b for a, b in pairwise(waits))
