"""Said against measured as an SVG: a point a row on logarithmic axes, a colour a machine, the diagonal and its neighbours."""

import math
from collections.abc import Sequence
from pathlib import Path

SIDE, EDGE, KEY = 420, 56, 270  # pixels: the square, room for its labels, the legend
COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bb5566",
    "#004488",
    "#997700",
    "#009988",
    "#ee7733",
    "#777777",
)
TICKS = (5, 10, 20, 50, 100, 200)
LEAST, MOST = 4.0, 260.0  # tokens a second
NEAR = 1.15


def plot(target: Path, points: Sequence[tuple[str, float, float]]) -> None:
    """Writes (machine, said, measured) to `target`."""
    machines = list(dict.fromkeys(name for name, _, _ in points))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(machines)}
    width, height = EDGE + SIDE + KEY, SIDE + EDGE + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<rect x="{EDGE}" y="8" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999999"/>',
    ]
    for tick in TICKS:
        at = _at(tick)
        out.append(f'<path d="M{EDGE + at:.1f} 8v{SIDE}M{EDGE} {8 + SIDE - at:.1f}h{SIDE}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{EDGE + at:.1f}" y="{SIDE + 24}" text-anchor="middle">{tick}</text>')
        out.append(f'<text x="{EDGE - 6}" y="{SIDE + 12 - at:.1f}" text-anchor="end">{tick}</text>')
    for factor, dash in ((1 / NEAR, "4 3"), (1.0, "none"), (NEAR, "4 3")):
        ends = [(x, min(max(x * factor, LEAST), MOST)) for x in (LEAST, MOST)]
        path = "L".join(f"{EDGE + _at(y / factor):.1f} {8 + SIDE - _at(y):.1f}" for _, y in ends)
        out.append(f'<path d="M{path}" stroke="#555555" stroke-dasharray="{dash}" fill="none"/>')
    for name, said, measured in points:
        x, y = EDGE + _at(measured), 8 + SIDE - _at(said)
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour[name]}" fill-opacity="0.75"/>')
    for i, name in enumerate(machines):
        y = 22 + 18 * i
        out.append(f'<circle cx="{EDGE + SIDE + 16}" cy="{y - 4}" r="4" fill="{colour[name]}"/>')
        out.append(f'<text x="{EDGE + SIDE + 26}" y="{y}">{name}</text>')
    out.append(f'<text x="{EDGE + SIDE / 2}" y="{SIDE + 44}" text-anchor="middle">measured, tokens a second</text>')
    out.append(
        f'<text transform="translate(16 {8 + SIDE / 2}) rotate(-90)" text-anchor="middle">said, its machine left out</text></svg>'
    )
    target.write_text("\n".join(out) + "\n", encoding="utf-8")


def _at(speed: float) -> float:
    """Pixels from the origin."""
    return SIDE * math.log(speed / LEAST) / math.log(MOST / LEAST)
