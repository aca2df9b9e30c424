"""Screens one after the other as one SVG that plays by itself (CSS animations; no script, so that a README may show it)."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.style import Style

Span = tuple[str, Style]
Row = tuple[Span, ...]
CELL, LINE, SIZE, EDGE = 8.4, 18, 14, 10  # pixels: a column, a line, the font, around the screen
CAPTION = 30  # pixels below it
BLOCKS = {"█": 1.0, "▉": 0.875, "▊": 0.75, "▋": 0.625, "▌": 0.5, "▍": 0.375, "▎": 0.25, "▏": 0.125}
PAPER, INK = "#101418", "#d0d4d8"  # where a style says nothing
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True)
class Frame:
    """`rows` of the screen for so many seconds, and what a person just did."""

    rows: tuple[Row, ...]
    seconds: float
    caption: str


def animated(frames: Sequence[Frame], columns: int) -> str:
    """The SVG; a row that several frames show is drawn once and used by all."""
    lines = max(len(f.rows) for f in frames)
    width, height = columns * CELL + 2 * EDGE, lines * LINE + 2 * EDGE + CAPTION
    whole = sum(f.seconds for f in frames)
    classes: dict[str, str] = {}
    known: dict[Row, str] = {}
    shapes: list[str] = []
    groups: list[str] = []
    rules: list[str] = []
    at = 0.0
    for i, frame in enumerate(frames):
        uses = []
        for y, row in enumerate(frame.rows):
            if row not in known:
                known[row] = f"r{len(known)}"
                shapes.append(f'<g id="{known[row]}">{_row(row, classes)}</g>')
            uses.append(f'<use href="#{known[row]}" y="{y * LINE}"/>')
        said = f'<text class="c" x="0" y="{lines * LINE + 20}">{_kept(frame.caption)}</text>'
        groups.append(f'<g class="f f{i}">{"".join(uses)}{said}</g>')
        begin, end = at / whole * 100, (at + frame.seconds) / whole * 100
        hidden = f"0%{{opacity:0}}{begin:.3f}%{{opacity:1}}" if begin else "0%{opacity:1}"
        rules.append(f"@keyframes f{i}{{{hidden}{end:.3f}%{{opacity:0}}100%{{opacity:0}}}}.f{i}{{animation-name:f{i}}}")
        at += frame.seconds
    style = f"text{{font:{SIZE}px {_FONT}}}.c{{fill:#e8d070;font-weight:bold}}"
    style += f".f{{opacity:0;animation:{whole:.1f}s step-end infinite}}" + "".join(rules)
    style += "".join(f".{name}{{{rule}}}" for rule, name in classes.items())
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{style}</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}" stroke="#5a646e"/>',
            f"<defs>{''.join(shapes)}</defs>",
            f'<g transform="translate({EDGE} {EDGE})">{"".join(groups)}</g>',
            "</svg>\n",
        )
    )


def _row(row: Row, classes: dict[str, str]) -> str:
    out = []
    x = 0
    for text, style in row:
        ink, paper = _colours(style)
        if paper != PAPER:
            out.append(_box(x, len(text), paper))
        for part in _parts(text):
            if part[0] in BLOCKS:
                out.append(_box(x, len(part) - 1 + BLOCKS[part[-1]], ink))
            elif part.strip():
                rule = f"fill:{ink}{';font-weight:bold' if style.bold else ''}"
                name = classes.setdefault(rule, f"s{len(classes)}")
                size = f' textLength="{len(part) * CELL:.1f}"' if len(part) > 1 else ""
                out.append(f'<text class="{name}" x="{x * CELL:.1f}" y="13"{size}>{_kept(part)}</text>')
            x += len(part)
    return "".join(out)


def _kept(text: str) -> str:
    """Spaces that no viewer folds."""
    return escape(text).replace(" ", "\u00a0")


def _parts(text: str) -> list[str]:
    """Runs of characters, of full blocks, and single blocks that fill a part of a cell."""
    parts: list[str] = []
    for character in text:
        last = parts[-1][-1] if parts else ""
        if parts and (character in BLOCKS) == (last in BLOCKS) and last in ("█", *([] if last in BLOCKS else [last])):
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _box(x: float, columns: float, colour: str) -> str:
    return f'<path fill="{colour}" d="M{x * CELL:.1f} 0h{columns * CELL:.1f}v{LINE}h{-columns * CELL:.1f}z"/>'


def _colours(style: Style) -> tuple[str, str]:
    ink = style.color.get_truecolor().hex if style.color else INK
    paper = style.bgcolor.get_truecolor().hex if style.bgcolor else PAPER
    return (paper, ink) if style.reverse else (ink, paper)
