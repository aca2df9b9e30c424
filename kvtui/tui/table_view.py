"""How the person looks at the K/V pairs: sorted, filtered, all of them, as a square, and for which goal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvtui.cache.labels import LABELS, Label
from kvtui.placement.goals import GOALS, Goal
from kvtui.report.columns import COLUMNS, Column, column, filtered

if TYPE_CHECKING:
    from kvtui.placement.table import PairRow

LEAST: tuple[Label, ...] = tuple([label for _, label in LABELS[1:]])  # "as f16" and what is worse; all but the worst
SORTABLE = tuple(c for c in COLUMNS if c.order is not None)


@dataclass(frozen=True)
class TableView:
    """`by`: key of the column that sorts the table and shades the square, "" for the table's own order. `only` and `least` as
    the command line has them."""

    by: str = ""
    reverse: bool = False
    only: tuple[str, ...] = ()
    least: Label | None = None
    goal: Goal = GOALS[0]
    all_pairs: bool = False
    square: bool = False  # the square is in front instead of the table

    @property
    def column(self) -> Column | None:
        """That of `by`."""
        return column(self.by) if self.by else None

    def next_column(self, step: int) -> "TableView":
        """Sorted by the column `step` further; the table's own order stands between the last and the first."""
        names = ("", *[c.key for c in SORTABLE])
        return replace(self, by=names[(names.index(self.by) + step) % len(names)], reverse=False)

    def next_goal(self) -> "TableView":
        """Advice for another goal."""
        return replace(self, goal=GOALS[(GOALS.index(self.goal) + 1) % len(GOALS)])

    def with_only(self, name: str) -> "TableView":
        """One of report.columns.FILTERS more, or less where it is there."""
        kept = tuple(x for x in self.only if x != name)
        return replace(self, only=kept if name in self.only else (*self.only, name))

    def rows(self, every: Sequence["PairRow"], chosen: tuple[str, str]) -> list["PairRow"]:
        """The pairs as they are shown. The chosen one is shown whatever the filters say."""
        kept = {r.pair for r in filtered(every, self.only, self.least)} | {chosen}
        rows = [r for r in every if r.pair in kept]
        by = self.column
        if by is None:
            return rows[::-1] if self.reverse else rows
        assert by.order is not None
        return sorted(rows, key=by.order, reverse=self.reverse)

    @property
    def filters(self) -> str:
        """`only fast, fits, good or better`; "" where nothing is left out."""
        parts = [*self.only, *([f"{self.least} or better"] if self.least else [])]
        return f"only {', '.join(parts)}" if parts else ""
