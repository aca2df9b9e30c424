"""The K/V table once: key, heading, unit, faces and value of each column, for JSON, text, Markdown and the app."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from kvtui.base.findings import UsageError
from kvtui.base.sizes import GIB, amount, short_context
from kvtui.cache.labels import RANKS
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.placement.goals import GOALS
from kvtui.report.findings import findings_json

if TYPE_CHECKING:
    from kvtui.cache.labels import Label
    from kvtui.cache.quality import Quality
    from kvtui.placement.table import PairRow

HERE_MARK = "*"  # beside a label: it rests on a measurement of this model, on this machine
NONE, COMING = "-", "..."  # there is no such figure; it is not computed yet


@dataclass(frozen=True)
class Face:
    """How the app draws a column where its table has `floor` columns inside or more. `width` has the gap before a number or
    after a word; `text` None: the column's own."""

    floor: int
    heading: str
    width: int
    text: Callable[["PairRow"], str] | None = None


# columns inside from which the app's table has room for the next set of faces, all whole
LEAST_WIDTH, PLAIN_WIDTH, MEDIUM_WIDTH, WIDE_WIDTH = 58, 74, 80, 106


@dataclass(frozen=True)
class Column:
    """One figure of a pair. `key` and `value`: as JSON has it. `text`: for people, with `heading` above it; "" for a figure
    that only programs get. `faces`: in the app, by rising floors; the last whose floor is reached is drawn.
    `word`: aligned left. `slow`: computed after the others. `order`: less is better, for sorting; None: nothing to sort by."""

    key: str
    value: Callable[["PairRow"], Any]
    heading: str = ""
    text: Callable[["PairRow"], str] = lambda _: ""
    unit: str = ""
    faces: tuple[Face, ...] = ()
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

    def face(self, width: int) -> Face | None:
        """As it is drawn in a table of `width` columns inside; None where there is no room for it."""
        return next((f for f in reversed(self.faces) if f.floor <= width), None)


def _number(value: float | None, form: str) -> str:
    return format(value, form) if value else NONE


def _label(q: "Quality") -> str:
    return f"{q.label} {HERE_MARK}" if q.here else q.label


def _short_label(q: "Quality") -> str:
    return f"{'ref' if q.label == 'reference' else q.label}{HERE_MARK if q.here else ''}"


def _quality(q: "Quality") -> dict[str, Any]:
    return {
        "label": q.label,
        "measured_here": bool(q.here),
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
_SHORT_RUNS = {"converted": "conv", "unknown": "?", "refused": "none"}


def _cache(row: "PairRow") -> str:
    digits = next((d for d, most in ((2, 10), (1, 100)) if row.cache_bytes < most * GIB), 0)
    return amount(row.cache_bytes, digits).replace(",", "")


def _rate(value: float | None) -> str:
    """Three digits, and never more than four columns."""
    form = next(f for most, f in ((1, ".2f"), (999.5, ".3g"), (float("inf"), ".0f")) if (value or 0) < most)
    return _number(value, form)


def _tokens(tokens: int | None) -> str:
    return short_context(tokens) if tokens else NONE


def _runs(row: "PairRow") -> str:
    return row.runs if row.accepted else "refused"


def _short_runs(row: "PairRow") -> str:
    return _SHORT_RUNS.get(_runs(row), _runs(row))


COLUMNS: tuple[Column, ...] = (
    Column("type_k", lambda r: r.type_k, "K", lambda r: r.type_k, faces=(Face(0, "K", 7),), word=True,
           order=lambda r: _NAMES[r.type_k]),
    Column("type_v", lambda r: r.type_v, "V", lambda r: r.type_v, faces=(Face(0, "V", 7),), word=True,
           order=lambda r: _NAMES[r.type_v]),
    Column("cache_bytes", lambda r: r.cache_bytes, "cache", lambda r: f"{r.cache_bytes / GIB:.2f}", unit="GiB",
           faces=(Face(0, "cache", 8, _cache),), order=lambda r: r.cache_bytes),
    Column("device_bytes", lambda r: r.device_bytes, order=lambda r: r.device_bytes),
    Column("saved_fraction", lambda r: r.saved_fraction, "saved", lambda r: f"{r.saved_fraction:.1%}",
           faces=(Face(0, "saved", 6, lambda r: f"{r.saved_fraction:.0%}"),), order=lambda r: -r.saved_fraction),
    Column("max_context", lambda r: r.max_context, "most ctx", lambda r: _number(r.max_context, ","),
           faces=(Face(0, "fits", 7, lambda r: _tokens(r.max_context)), Face(PLAIN_WIDTH, "fits", 11),
                  Face(MEDIUM_WIDTH, "fits", 7, lambda r: _tokens(r.max_context)), Face(WIDE_WIDTH, "fits", 11)),
           slow=True, order=lambda r: _most(r.max_context)),
    Column("max_context_gpu", lambda r: r.max_context_gpu, "all on GPU", lambda r: _number(r.max_context_gpu, ","),
           faces=(Face(MEDIUM_WIDTH, "on GPUs", 8, lambda r: _tokens(r.max_context_gpu)), Face(WIDE_WIDTH, "on GPUs", 11)),
           slow=True, order=lambda r: _most(r.max_context_gpu)),
    Column("tokens_per_second", lambda r: r.tokens_per_second, "tok/s", lambda r: _number(r.tokens_per_second, ".2f"),
           faces=(Face(0, "t/s", 5, lambda r: _rate(r.tokens_per_second)),
                  Face(PLAIN_WIDTH, "tok/s", 7, lambda r: _rate(r.tokens_per_second)),
                  Face(MEDIUM_WIDTH, "tok/s", 6, lambda r: _rate(r.tokens_per_second)),
                  Face(WIDE_WIDTH, "tok/s", 7, lambda r: _rate(r.tokens_per_second))),
           order=lambda r: _most(r.tokens_per_second)),
    Column("tokens_per_second_empty", lambda r: r.tokens_per_second_empty,
           faces=(Face(MEDIUM_WIDTH, "empty", 6, lambda r: _rate(r.tokens_per_second_empty)),
                  Face(WIDE_WIDTH, "empty", 7, lambda r: _rate(r.tokens_per_second_empty))),
           order=lambda r: _most(r.tokens_per_second_empty)),
    Column("seconds_per_token", lambda r: r.seconds_per_token, order=lambda r: r.seconds_per_token),
    Column("fits", lambda r: r.fits, order=lambda r: not r.fits),
    Column("accepted", lambda r: r.accepted, order=lambda r: not r.accepted),
    Column("runs", lambda r: r.runs, "runs", _runs,
           faces=(Face(0, "runs", 7, _short_runs), Face(PLAIN_WIDTH, "runs", 13), Face(MEDIUM_WIDTH, "runs", 7, _short_runs),
                  Face(WIDE_WIDTH, "runs", 13)),
           word=True, order=lambda r: (not r.accepted, _RUNS[r.runs])),
    Column("runs_because", lambda r: r.runs_because),
    Column("runs_devices", lambda r: dict(r.runs_devices)),
    Column("quality", lambda r: _quality(r.quality), "quality", lambda r: _label(r.quality),
           faces=(Face(0, "quality", 8, lambda r: _short_label(r.quality)), Face(PLAIN_WIDTH, "quality", 11),
                  Face(MEDIUM_WIDTH, "quality", 9, lambda r: _short_label(r.quality)), Face(WIDE_WIDTH, "quality", 11)),
           word=True, order=lambda r: (RANKS[r.quality.label], r.quality.expected)),
    Column("dominated_by", lambda r: r.dominated_by, "beaten by", lambda r: _pair(r.dominated_by), word=True),
    Column("recommended", lambda r: GOALS[0] in r.recommended_for, "best for", lambda r: ", ".join(r.recommended_for), word=True),
    Column("recommended_for", lambda r: list(r.recommended_for)),
    Column("findings", lambda r: findings_json(r.findings)),
)  # fmt: skip
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
