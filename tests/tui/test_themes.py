"""Themes: complete, readable, and a broken one is named."""

import pytest
from rich.style import Style

from kvtui.tui.themes import ThemeError, load_themes, parse_theme

LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA


def luminance(colour: tuple[int, int, int]) -> float:
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    assert style.color is not None
    assert style.bgcolor is not None
    light, dark = sorted((luminance(style.color.get_truecolor()), luminance(style.bgcolor.get_truecolor())), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_readable_in_every_theme_of_its_own_colours() -> None:
    themes, broken = load_themes()
    assert broken == ()
    weak = [
        f"{t.name}.{name}: {contrast(style):.2f}"
        for t in themes.values()
        if not t.ansi
        for name, style in t.styles.items()
        if contrast(style) < LEAST_CONTRAST
    ]
    assert weak == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        ('name = "x"', "a name, a background and a table"),
        ('name = "x"\nbackground = "#000000"\n[styles]\ntext = "#ffffff"', "missing: dim"),
    ],
)
def test_broken_themes_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ThemeError, match=message):
        parse_theme(text)
