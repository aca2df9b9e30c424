"""Bars and sparklines: segments by colour in eighths of a cell, or by letters where there is none."""

from collections.abc import Mapping, Sequence

from kvtui.tui.lines import Span

# a segment of a bar, which is its style too: the letter that stands for it without colour, its name
SEGMENTS = (
    ("other", "#", "others"),
    ("weights", "=", "weights"),
    ("kv", "+", "K/V"),
    ("compute", "%", "compute"),
    ("beside", "&", "beside"),
    ("overhead", "@", "overhead"),
    ("growth", "^", "growth"),
    ("free", ".", "free"),
    ("margin", "-", "margin"),
)
EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS, PLAIN_LEVELS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_SIGN = {"free": " ", "margin": "░"}
_MARK = {True: "┃", False: "|"}
OVER = "OVER"


def bar(
    parts: Mapping[str, int], total: int, width: int, solid: bool, live: int | None = None, over: bool = False
) -> tuple[Span, ...]:
    """`width` columns for `total` bytes. `live`: bytes in use now, a mark over the plan; `over`: it ends in a word."""
    cells = _solid(parts, total, width) if solid else _letters(parts, total, width)
    if live is not None and total:
        cells[min(int(live / total * width), width - 1)] = (_MARK[solid], "live")
    if over and width > len(OVER):
        cells[-len(OVER) :] = [(c, "over") for c in OVER]
    return joined(cells)


def joined(cells: Sequence[Span]) -> tuple[Span, ...]:
    """Neighbours of one style together."""
    spans: list[Span] = []
    for text, style in cells:
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
    return tuple(spans)


def _ends(parts: Mapping[str, int], total: int, steps: int) -> list[tuple[str, int]]:
    """(segment, where it ends in so many steps), rounded by running sums."""
    found, done = [], 0
    for name, _, _ in SEGMENTS:
        done += max(parts.get(name, 0), 0)
        found.append((name, min(round(done / total * steps), steps) if total else 0))
    return found


def _letters(parts: Mapping[str, int], total: int, width: int) -> list[Span]:
    cells: list[Span] = []
    letters = {name: letter for name, letter, _ in SEGMENTS}
    for name, end in _ends(parts, total, width):
        cells += [(letters[name], name)] * (end - len(cells))
    return cells + [(" ", "text")] * (width - len(cells))


def _solid(parts: Mapping[str, int], total: int, width: int) -> list[Span]:
    eighths: list[str] = []
    for name, end in _ends(parts, total, width * 8):
        eighths += [name] * (end - len(eighths))
    eighths += ["free"] * (width * 8 - len(eighths))
    return [_cell(eighths[i : i + 8]) for i in range(0, width * 8, 8)]


def _cell(inside: list[str]) -> Span:
    """One cell of one or two segments; of more, the first and the last."""
    first, last = inside[0], inside[-1]
    if first == last:
        return (_SIGN[first], f"{first}/track") if first in _SIGN else ("█", first)
    count = sum(1 for name in inside if name == first)
    if first in _SIGN:  # what is empty has no eighths of its own
        return _cell([last] * 8) if count < 4 else _cell([first] * 8)
    return (EIGHTHS[count], f"{first}/track" if last in _SIGN else f"{first}/{last}")


def legend(present: Sequence[str], solid: bool) -> tuple[Span, ...]:
    """What each colour or letter of these segments stands for."""
    spans: list[Span] = []
    for name, letter, word in SEGMENTS:
        if name in present and name != "free":
            sign = _SIGN.get(name, "█") if solid else letter
            spans += [(f" {sign}", name), (word, "dim")]
    return (*spans, (" ", "dim")) if spans else ()


def sparkline(samples: Sequence[int], first: int, total: int, columns: int, step: int, unicode: bool) -> str:
    """The most of each `step` samples as a level of `total`, newest at the right. `first`: the number of the oldest sample, so
    that groups stay the same while new ones come."""
    groups: dict[int, int] = {}
    for i, value in enumerate(samples, first):
        groups[i // step] = max(groups.get(i // step, 0), value)
    levels = LEVELS if unicode else PLAIN_LEVELS
    shown = sorted(groups)[-columns:]
    text = "".join(levels[min(int(groups[g] / max(total, 1) * len(levels)), len(levels) - 1)] for g in shown)
    return text.rjust(columns)
