"""Which pair to take: those that another beats in everything, one recommended for each goal, and a sentence that says why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kvtui.cache.labels import HERE, RANKS
from kvtui.flags.cache_types import no_fewer_bits
from kvtui.placement.goals import GOALS, Goal

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.placement.table import PairRow

AS_FAST = 1.05  # this program's own choice: a pair that gains no more than 5 % is not worth quantising for
_NO_LOSS = RANKS["as f16"]
_GOOD = RANKS["good"]
_HALF = (0.45, 0.55)  # of f16's bytes: what people call half
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_F16 = ("f16", "f16")
_F16_SERVES: dict[Goal, str] = {
    "decode": f"no pair without measured loss is more than {(AS_FAST - 1) * 100:.0f} % faster",
    "context": "no good pair reaches further that another does not beat in speed and quality",
    "memory": "no good pair takes less that another does not beat in speed and quality",
}


def advised(rows: Sequence["PairRow"]) -> list["PairRow"]:
    """The rows with `dominated_by` and `recommended_for`. Only rows that are given are compared with each other."""
    beaten = [replace(row, dominated_by=_better(row, rows)) for row in rows]
    chosen = {goal: recommended(beaten, goal) for goal in GOALS}
    goals = [tuple(g for g, best in chosen.items() if best is not None and best.pair == r.pair) for r in beaten]
    return [replace(r, recommended_for=own) for r, own in zip(beaten, goals, strict=True)]


def _figures(row: "PairRow") -> tuple[float, ...]:
    """Decode seconds, cache bytes, contexts and quality's cost: less is better in each."""
    label = row.quality.label
    return (
        row.seconds_per_token,
        row.cache_bytes,
        -(row.max_context or 0),
        -(row.max_context_gpu or 0),
        RANKS[label],
        row.quality.expected,
    )


def dominates(a: "PairRow", b: "PairRow") -> bool:
    """Whether `a` is better than `b` or equal in all, and better in one. What is refused beats nothing, and a pair of which
    it is not known how it runs none of which it is. Where one was measured here and the other not, the series' order stands;
    one that was is beaten by no guess."""
    if _guessed(a, b) or (not (a.quality.here and b.quality.here) and a.quality.typical > b.quality.typical):
        return False
    if not a.accepted or not b.accepted or (a.runs == "unknown" and b.runs != "unknown"):
        return False
    mine, others = _figures(a), _figures(b)
    return mine != others and all(x <= y for x, y in zip(mine, others, strict=True))


def _guessed(a: "PairRow", b: "PairRow") -> bool:
    """Whether that `a` costs less than `b`, which was measured here, is a guess: it was not, and has fewer bits on a side."""
    return bool(b.quality.here and not a.quality.here) and not no_fewer_bits(a.pair, b.pair)


def _better(row: "PairRow", rows: Sequence["PairRow"]) -> tuple[str, str] | None:
    """The best of the pairs that beat `row`; it is not beaten itself."""
    found = [x for x in rows if dominates(x, row)]
    return min(found, key=_figures).pair if found else None


def recommended(rows: Sequence["PairRow"], goal: Goal = "decode") -> "PairRow | None":
    """The pair to take; None where none fits. No pair that fits, and of which it is known how it runs, is both faster and
    better in quality."""
    room = [r for r in rows if r.fits]
    known = [r for r in room if r.runs != "unknown"] or room
    fitting = [r for r in known if not any(_slower_and_worse(r, x) for x in known)]
    if not fitting:
        return None
    least = min(max(RANKS[r.quality.label], _NO_LOSS if goal == "decode" else _GOOD) for r in fitting)
    bearable = [r for r in fitting if RANKS[r.quality.label] <= least]
    if goal == "context":
        return min(bearable, key=_reach)
    if goal == "memory":
        return min(bearable, key=lambda r: (r.cache_bytes, r.seconds_per_token, r.quality.expected))
    fastest = min(r.seconds_per_token for r in bearable)
    as_fast = [r for r in bearable if r.seconds_per_token <= fastest * AS_FAST]
    return min(as_fast, key=lambda r: (RANKS[r.quality.label], *_cost(r), r.cache_bytes, r.seconds_per_token))


def _reach(row: "PairRow") -> tuple[float, ...]:
    """The longest contexts first, then quality, then speed."""
    return (-(row.max_context_gpu or 0), -(row.max_context or 0), *_cost(row), row.seconds_per_token)


def _cost(row: "PairRow") -> tuple[bool, float]:
    """What is known to lose nothing or was measured here stands before what is guessed from others that were."""
    return row.quality.scaled, row.quality.expected


def _slower_and_worse(row: "PairRow", other: "PairRow") -> bool:
    if other.seconds_per_token >= row.seconds_per_token or _guessed(other, row):
        return False
    return (RANKS[other.quality.label], other.quality.expected) < (RANKS[row.quality.label], row.quality.expected)


def advice(plan: "Plan", rows: Sequence["PairRow"], goal: Goal = "decode") -> str:
    """One sentence: the pair to take and why, or that nothing should be quantised, or that nothing fits."""
    tokens = f"{plan.request.context.n_ctx:,}"
    if rows and not any(r.cache_bytes for r in rows):
        return "This model keeps no K/V: its types change nothing."
    best = recommended(rows, goal)
    if best is None:
        least = min((r for r in rows if r.accepted), key=lambda r: r.device_bytes, default=None)
        if least is None:
            return "llama-server refuses every one of these pairs here."
        return f"No pair fits {tokens} with this placement; {_name(least)} takes least, and reaches {least.max_context or 0:,}."
    if best.pair == _F16:
        return f"f16/f16: nothing needs to be quantised: {tokens} fit, and {_F16_SERVES[goal]}."
    plain = next((r for r in rows if r.pair == _F16), None)
    instead = "f16/f16 has no room in this placement; " if plain is not None and plain.accepted and not plain.fits else ""
    return f"{_name(best)}: {_share(best)}, {_loss(best)}, {_running(best)}{_gain(best, rows)}; {instead}fits {tokens}."


def _name(row: "PairRow") -> str:
    return f"{row.type_k}/{row.type_v}"


def _share(row: "PairRow") -> str:
    left = 1 - row.saved_fraction
    if _HALF[0] <= left <= _HALF[1]:
        return "half the cache"
    return f"{left * 100:.0f} % of f16's cache"


def _loss(row: "PairRow") -> str:
    """What was measured of it, and on whom."""
    rank, kin = RANKS[row.quality.label], row.quality.figures[0][1] if row.quality.figures else None
    if row.quality.label == "risky":
        return f"risky: {row.quality.why}" if row.quality.why else "a loss that shows"
    said = "no measured loss" if rank <= _NO_LOSS else "little loss" if rank <= _GOOD else "some loss"
    if kin is None:
        by = "what other pairs cost here" if row.quality.scaled else "what its types cost elsewhere"
        return f"{said.replace('measured', 'expected')} by {by}"
    if kin == HERE:
        return f"{said}, measured here" if rank > _NO_LOSS else "no loss measured here"
    return f"{said} on {kin.replace('a relative', 'relatives')}"


def _running(row: "PairRow") -> str:
    devices = [name for name, _ in row.runs_devices]
    count = _NUMBERS[len(devices)] if len(devices) < len(_NUMBERS) else str(len(devices))
    one = "the CPU" if devices == ["CPU"] else devices[0]
    where = one if len(devices) == 1 else "both cards" if len(devices) == 2 else f"all {count} cards"
    said = {
        "fast": "runs with its own kernel",
        "converted": "is copied to f16 at each token",
        "cpu": "leaves attention to the CPU",
        "unknown": "runs in a way that is not known",
    }
    return f"{said[row.runs]} on {where}" if row.runs != "cpu" else said[row.runs]


def _gain(row: "PairRow", rows: Sequence["PairRow"]) -> str:
    """How much faster than f16/f16 at full context, where that is known and worth a word."""
    plain = next((r for r in rows if r.pair == _F16), None)
    if plain is None or row.tokens_per_second is None or plain.tokens_per_second is None:
        return ""
    gain = row.tokens_per_second / plain.tokens_per_second - 1
    return f", {gain * 100:.0f} % faster than f16/f16 at full context" if gain > AS_FAST - 1 else ""
