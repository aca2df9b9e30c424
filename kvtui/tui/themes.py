"""Themes: TOML files with one style a name, from the package, a checkout, and the person's config folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from rich.errors import StyleSyntaxError
from rich.style import Style

from kvtui.base.files import read_regular
from kvtui.base.findings import KvtuiError, UsageError
from kvtui.base.parse import ParseError, parse_toml
from kvtui.base.text import printable

STYLE_NAMES = (
    "text",
    "dim",
    "strong",
    "accent",
    "title",
    "title-focus",
    "cursor",
    "note",
    "warning",
    "error",
    "key",
    "other",
    "weights",
    "kv",
    "compute",
    "free",
    "margin",
    "device0",
    "device1",
    "device2",
    "device3",
    "device4",
    "device5",
    "device6",
    "device7",
)
# names a person's theme may leave out: each is then drawn as the other
LIKE = {
    "frame": "dim",
    "frame-focus": "accent",
    "beside": "compute",
    "overhead": "compute",
    "growth": "free",
    "live": "strong",
    "over": "error",
    "moved": "cursor",
    "track": "text",
    "good": "text",
}
MOST_BYTES = 1 << 16  # of a theme file; ours have about 1 kB
DEFAULT, MONOCHROME, SIXTEEN = "dark", "monochrome", "sixteen"


class ThemeError(KvtuiError):
    """What is wrong with a theme file; one sentence."""


@dataclass(frozen=True)
class Theme:
    """`background`: a colour, or `ansi_default` for the terminal's own. `styles`: every name of STYLE_NAMES and of LIKE."""

    name: str
    background: str
    styles: dict[str, Style]

    @property
    def ansi(self) -> bool:
        """Whether it keeps to the terminal's own colours."""
        return self.background == "ansi_default"

    @property
    def coloured(self) -> bool:
        """Whether segments of a bar can be told by colour."""
        return self.styles["weights"].color != self.styles["kv"].color


@lru_cache(maxsize=32)
def parse_theme(text: str) -> Theme:
    """A theme file's content, checked. Raises ThemeError."""
    try:
        data = parse_toml(text)
    except ParseError as e:
        raise ThemeError(str(e)) from None
    name, background, styles = data.get("name"), data.get("background"), data.get("styles")
    if not isinstance(name, str) or not isinstance(background, str) or not isinstance(styles, dict):
        raise ThemeError("a theme has a name, a background and a table of styles")
    missing = [n for n in STYLE_NAMES if n not in styles]
    unknown = [n for n in styles if n not in STYLE_NAMES and n not in LIKE]
    if missing or unknown:
        raise ThemeError(f"styles {'missing: ' + ', '.join(missing) if missing else 'unknown: ' + ', '.join(unknown)}")
    try:
        base = Style.parse(str(styles["text"]))
        if background != "ansi_default":
            base += Style.parse(f"on {background}")
        said = {**{n: styles[like] for n, like in LIKE.items()}, **styles}
        parsed = {n: base + Style.parse(str(style)) for n, style in said.items()}
    except StyleSyntaxError as e:
        raise ThemeError(f"not a style: {e}") from None
    if any(style.link for style in parsed.values()):  # rich would write it to the terminal as it stands
        raise ThemeError("a style is colours and weights, not a link")
    return Theme(name, background, parsed)


def theme_folders() -> Iterator[Path]:
    """Where themes are: the package or a checkout, then the person's own."""
    from platformdirs import user_config_path

    package = Path(__file__).resolve().parent.parent
    yield package / "themes" if (package / "themes").is_dir() else package.parent / "themes"
    yield user_config_path("kvtui") / "themes"


def load_themes() -> tuple[dict[str, Theme], tuple[str, ...]]:
    """(themes by name, sentences on the files that are broken and were skipped)."""
    found: dict[str, Theme] = {}
    broken = []
    for folder in theme_folders():
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = parse_theme(read_regular(path, MOST_BYTES).decode())
            except (KvtuiError, OSError, UnicodeDecodeError) as e:
                broken.append(f"theme {path.name} is skipped: {e}")
            else:
                found[theme.name] = theme
    return found, tuple(broken)


def chosen_theme(themes: Mapping[str, Theme], name: str | None, env: Mapping[str, str], remembered: str = "") -> Theme:
    """The theme asked for, or the one chosen the last time; without colour where NO_COLOR is set (no-color.org). UsageError
    where there is none of that name; one that was remembered may be gone."""
    if name is not None and name not in themes:
        near = get_close_matches(name, themes, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no theme {printable(name)!r} among {', '.join(sorted(themes))}{hint}")
    wanted = name or (MONOCHROME if env.get("NO_COLOR") else remembered)
    return themes.get(wanted) or themes[DEFAULT]
