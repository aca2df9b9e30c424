"""What `kvtui quality` measured, as JSON and as text."""

from collections.abc import Sequence
from typing import Any

from kvtui.cache.labels import HERE
from kvtui.report.columns import NONE
from kvtui.report.grid import Rows, grid
from kvtui.server.measure.pairs import Bench, Outcome

EXACT = (
    "KL divergences are exact, in nats, from f16/f16 in the same flags: llama-perplexity compares the whole vocabulary, in the "
    "second half of each chunk of a text"
)
LOWER_BOUND = (
    "KL divergences are lower bounds, in nats, from f16/f16 in the same flags: llama-server tells its likeliest tokens, "
    "and the rest are compared as one lump; the likeliest token is compared exactly"
)
_HEADS = ("K", "V", "mean KLD", "99.9 %", "top-1", "found", "f16/f16", "positions", "text", "note")


def quality_json(bench: Bench, model: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One object a pair and text."""
    return {
        "schema": 1,
        "model": model,
        "server": {"path": str(bench.binary.path), "build": bench.binary.build},
        "argv": list(bench.argv),
        "reference": "f16/f16",
        "method": _method(bench),
        "perplexity": _perplexity_json(bench),
        "pairs": [_outcome_json(o) for o in outcomes],
    }


def _method(bench: Bench) -> str:
    return EXACT if bench.comparer else LOWER_BOUND


def _perplexity_json(bench: Bench) -> dict[str, Any] | None:
    """Which one compared, and which of `argv` it has no option for."""
    if bench.comparer is None:
        return None
    return {"path": str(bench.comparer.binary.path), "left_out": list(bench.comparer.flags()[1])}


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    value = {
        "type_k": outcome.pair[0],
        "type_v": outcome.pair[1],
        "class": HERE,
        "text": outcome.text.source,
        "problem": outcome.problem,
        "measured_before": outcome.before,
    }
    m = outcome.measured
    if m is None:
        return value
    return {
        **value,
        "exact": m.divergence.exact,
        "mean_kl_divergence": m.divergence.mean,
        "kl_divergence_99_9": m.divergence.tail,
        "top_1_agreement": m.divergence.top_1,
        "positions": m.divergence.positions,
        "context": m.context,
        "needles": {"found": m.needles[0], "asked": m.needles[1], "found_by_f16": m.reference_needles},
        "measured_at": m.at,
    }


def quality_lines(bench: Bench, outcomes: Sequence[Outcome]) -> list[str]:
    """A line a pair and text, and what the figures are."""
    program = " and the llama-perplexity of its build" if bench.comparer else ""
    rows: Rows = [_row(o) for o in outcomes]
    context = next((o.measured.context for o in outcomes if o.measured), None)
    said = f"found: numbers hidden in a prompt of {context:,} tokens; f16/f16: how many it finds" if context else ""
    return [
        f"measured here with llama-server {bench.binary.build or bench.binary.version}{program}",
        *grid(_HEADS, rows, left=(0, 1, 8, 9)),
        f"{_method(bench)}.",
        *([f"{said}."] if said else []),
    ]


def _row(outcome: Outcome) -> tuple[str, ...]:
    m = outcome.measured
    if m is None:
        return (*outcome.pair, *[NONE] * 6, outcome.text.source, outcome.problem)
    d = m.divergence
    return (
        *outcome.pair,
        f"{d.mean:.5f}",
        f"{d.tail:.4f}",
        f"{d.top_1:.1%}",
        f"{m.needles[0]} of {m.needles[1]}",
        f"{m.reference_needles} of {m.needles[1]}",
        str(d.positions),
        outcome.text.source,
        "measured before" if outcome.before else "",
    )
