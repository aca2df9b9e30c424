"""The K/V table once: key, heading, unit, width and value of each column, for JSON, text, Markdown and the app."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kvtui.base.findings import UsageError
from kvtui.base.sizes import GIB
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.placement.advice import RANKS
from kvtui.report.findings import findings_json

if TYPE_CHECKING:
    from kvtui.cache.quality import Label, Quality
    from kvtui.placement.table import PairRow

NONE, COMING = "-", "..."  # there is no such figure; it is not computed yet


@dataclass(frozen=True)
class Column:
    """One figure of a pair. `key` and `value`: as JSON has it. `text`: for people, with `heading` above it; "" for a figure
    that only programs get. `width`: columns in the app; 0: not there, 80 columns have no room. `word`: aligned left.
    `slow`: computed after the others. `order`: less is better, for sorting; None: nothing to sort by."""

    key: str
    value: Callable[["PairRow"], Any]
    heading: str = ""
    text: Callable[["PairRow"], str] = lambda _: ""
    unit: str = ""
    width: int = 0
    word: bool = False
    slow: bool = False
    order: Callable[["PairRow"], Any] | None = None

    @property
    def title(self) -> str:
        """Heading and unit."""
        return f"{self.heading} {self.unit}".rstrip()

    def cell(self, row: "PairRow", *, complete: bool = True) -> str:
        """The figure for people; `complete`: the slow ones are there."""
        return COMING if self.slow and not complete and self.value(row) is None else self.text(row)

    def aligned(self, cell: str, width: int) -> str:
        """A cell as wide as the column."""
        return cell.ljust(width) if self.word else cell.rjust(width)


def _number(value: float | None, form: str) -> str:
    return format(value, form) if value else NONE


def _quality(q: "Quality") -> dict[str, Any]:
    return {
        "label": q.label,
        "why": q.why,
        "expected_kl_divergence": q.expected,
        "figures": [
            {"metric": f.metric, "value": f.value, "model": f.model, "rotated": f.rotated, "source": f.source}
            | {"kin": kin, "setup": f.setup}
            for f, kin in q.figures
        ],
    }


def _pair(pair: tuple[str, str] | None) -> str:
    return "/".join(pair) if pair else NONE


def _most(value: float | None) -> float:
    """More is better; what is not there comes last."""
    return -value if value is not None else float("inf")


_NAMES = {name: i for i, name in enumerate(CACHE_TYPES)}
_RUNS = {name: i for i, name in enumerate(("fast", "converted", "cpu", "unknown"))}

COLUMNS: tuple[Column, ...] = (
    Column("type_k", lambda r: r.type_k, "K", lambda r: r.type_k, width=7, word=True, order=lambda r: _NAMES[r.type_k]),
    Column("type_v", lambda r: r.type_v, "V", lambda r: r.type_v, width=7, word=True, order=lambda r: _NAMES[r.type_v]),
    Column(
        "cache_bytes",
        lambda r: r.cache_bytes,
        "cache",
        lambda r: f"{r.cache_bytes / GIB:.2f}",
        unit="GiB",
        width=10,
        order=lambda r: r.cache_bytes,
    ),
    Column("device_bytes", lambda r: r.device_bytes, order=lambda r: r.device_bytes),
    Column(
        "saved_fraction",
        lambda r: r.saved_fraction,
        "saved",
        lambda r: f"{r.saved_fraction:.1%}",
        width=8,
        order=lambda r: -r.saved_fraction,
    ),
    Column(
        "max_context",
        lambda r: r.max_context,
        "most ctx",
        lambda r: _number(r.max_context, ","),
        width=11,
        slow=True,
        order=lambda r: _most(r.max_context),
    ),
    Column(
        "max_context_gpu",
        lambda r: r.max_context_gpu,
        "all on GPU",
        lambda r: _number(r.max_context_gpu, ","),
        slow=True,
        order=lambda r: _most(r.max_context_gpu),
    ),
    Column(
        "tokens_per_second",
        lambda r: r.tokens_per_second,
        "tok/s",
        lambda r: _number(r.tokens_per_second, ".2f"),
        width=8,
        order=lambda r: _most(r.tokens_per_second),
    ),
    Column(
        "tokens_per_second_empty",
        lambda r: r.tokens_per_second_empty,
        order=lambda r: _most(r.tokens_per_second_empty),
    ),
    Column("fits", lambda r: r.fits, order=lambda r: not r.fits),
    Column("accepted", lambda r: r.accepted, order=lambda r: not r.accepted),
    Column(
        "runs",
        lambda r: r.runs,
        "runs",
        lambda r: r.runs if r.accepted else "refused",
        width=11,
        word=True,
        order=lambda r: (not r.accepted, _RUNS[r.runs]),
    ),
    Column("runs_because", lambda r: r.runs_because),
    Column("runs_devices", lambda r: dict(r.runs_devices)),
    Column(
        "quality",
        lambda r: _quality(r.quality),
        "quality",
        lambda r: r.quality.label,
        width=9,
        word=True,
        order=lambda r: (RANKS[r.quality.label], r.quality.expected),
    ),
    Column("dominated_by", lambda r: r.dominated_by, "beaten by", lambda r: _pair(r.dominated_by), word=True),
    Column("recommended", lambda r: "decode" in r.recommended_for, "best for", lambda r: ", ".join(r.recommended_for), word=True),
    Column("recommended_for", lambda r: list(r.recommended_for)),
    Column("findings", lambda r: findings_json(r.findings)),
)
FOR_PEOPLE = tuple(c for c in COLUMNS if c.heading)


def column(name: str) -> Column:
    """A column that rows can be sorted by, by its key or heading. Raises UsageError."""
    names = {c.key: c for c in COLUMNS if c.order is not None}
    found = names.get(name) or next((c for c in names.values() if c.heading.lower() == name.lower()), None)
    if found is None:
        near = get_close_matches(name.lower(), names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"{name}: no such column; {hint}there are {', '.join(names)}")
    return found


def sorted_by(rows: Sequence["PairRow"], by: Column) -> list["PairRow"]:
    """The best first; pairs that are alike keep their order."""
    assert by.order is not None
    return sorted(rows, key=by.order)


FILTERS: dict[str, Callable[["PairRow"], bool]] = {
    "accepted": lambda r: r.accepted,
    "fast": lambda r: r.accepted and r.runs == "fast",
    "fits": lambda r: r.fits,
}


def filtered(rows: Sequence["PairRow"], only: Sequence[str] = (), least: "Label | None" = None) -> list["PairRow"]:
    """The rows that pass every one of FILTERS named in `only`, of the quality `least` or better."""
    most = RANKS[least] if least is not None else max(RANKS.values())
    return [r for r in rows if RANKS[r.quality.label] <= most and all(FILTERS[name](r) for name in only)]
