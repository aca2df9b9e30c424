"""Columns of words and figures as plain text."""

import textwrap
from collections.abc import Collection, Sequence

Rows = list[tuple[str, ...]]
_GAP, _SMALL_GAP = 2, 1


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (), width: int | None = None) -> list[str]:
    """Lines as wide as their widest cell; `left`: columns of words, the others end at the right. Where that is wider than
    `width`, headings are folded, then gaps narrowed, then columns of words folded; figures stay whole."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    gap = _GAP
    if width is not None and _total(widths, gap) > width:
        widths, gap = _narrowed(heads, rows, left, width)

    def aligned(i: int, cell: str) -> str:
        return cell.ljust(widths[i]) if i in left else cell.rjust(widths[i])

    def folded(cells: Sequence[str], *, below: bool) -> list[str]:
        parts = [textwrap.wrap(cell, widths[i], break_on_hyphens=False) or [""] for i, cell in enumerate(cells)]
        most = max(map(len, parts))
        tall = [[""] * (most - len(p)) + p if below else p + [""] * (most - len(p)) for p in parts]
        return [(" " * gap).join(aligned(i, p[y]) for i, p in enumerate(tall)).rstrip() for y in range(most)]

    return [*folded(heads, below=True), *[text for row in rows for text in folded(row, below=False)]]


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _narrowed(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int], width: int) -> tuple[list[int], int]:
    """(widths, gap) for `width` columns, or the least there can be."""
    columns = list(zip(*rows, strict=True)) or [()] * len(heads)
    cells = [max(map(len, column), default=0) for column in columns]
    widths = [max(cells[i], _longest(head)) for i, head in enumerate(heads)]
    least = [
        max(_longest(head), *[_longest(c) for c in columns[i]], 1) if i in left else widths[i] for i, head in enumerate(heads)
    ]
    gap = _GAP if _total(least, _GAP) <= width else _SMALL_GAP
    while _total(widths, gap) > width:
        spare = [i for i in left if widths[i] > least[i]]
        if not spare:
            break
        widths[max(spare, key=lambda i: widths[i] - least[i])] -= 1
    return widths, gap


def _longest(text: str) -> int:
    return max(map(len, text.split()), default=0)
