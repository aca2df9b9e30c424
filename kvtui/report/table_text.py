"""The K/V table as text and Markdown: a line a pair, or K down and V across."""

from collections.abc import Sequence
from itertools import groupby

from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.placement.table import PairRow
from kvtui.report.columns import FOR_PEOPLE, HERE_MARK, NONE, Column
from kvtui.report.grid import grid


def table_lines(rows: Sequence[PairRow], *, markdown: bool) -> list[str]:
    """One line a pair."""
    cells = [[c.cell(row) for c in FOR_PEOPLE] for row in rows]
    return _grid([c.title for c in FOR_PEOPLE], cells, FOR_PEOPLE, markdown=markdown)


def measured_lines(rows: Sequence[PairRow]) -> list[str]:
    """What the mark beside a label means: the figures that were measured here, a line a pair and text."""
    by_text = [(r, setup, list(each)) for r in rows for setup, each in groupby(r.quality.here, lambda f: f.setup)]
    return [
        f"{HERE_MARK} measured here, {'/'.join(r.pair)}: {'; '.join(f'{f.metric} {f.value:.4g}' for f in figures)} ({setup})"
        for r, setup, figures in by_text
    ]


def matrix_lines(rows: Sequence[PairRow], column: Column, *, markdown: bool) -> list[str]:
    """One figure of each pair, K down and V across; `-` where `rows` lack the pair."""
    by_pair = {r.pair: r for r in rows}

    def cell(k: str, v: str) -> str:
        row = by_pair.get((k, v))
        if row is None:
            return NONE
        return column.cell(row) if column.heading else str(column.value(row))

    cells = [[k, *[cell(k, v) for v in CACHE_TYPES]] for k in CACHE_TYPES]
    kinds = (FOR_PEOPLE[0], *[column] * len(CACHE_TYPES))
    said = column.title or column.key
    return [f"{said}, K down and V across", "", *_grid(["K", *CACHE_TYPES], cells, kinds, markdown=markdown)]


def _grid(heads: Sequence[str], cells: Sequence[Sequence[str]], kinds: Sequence[Column], *, markdown: bool) -> list[str]:
    if markdown:
        return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)]
    return grid(heads, cells, left=[i for i, c in enumerate(kinds) if c.word])
