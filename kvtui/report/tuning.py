"""What `kvtui tune` measured, as JSON and as text."""

from collections.abc import Sequence
from typing import Any

from kvtui.base.shell import shell_line, shell_word
from kvtui.report.as_json import speed_json
from kvtui.report.columns import NONE
from kvtui.report.grid import Rows, grid
from kvtui.server.measure.tuned import Bench, Outcome, best_of

_HEADS = ("plan", "prompt", "decode", "said", "a turn", "note")


def tuning_json(bench: Bench, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One object a plan, in the order in which they were tried; `fastest`: an index, and its `argv` and `env`. Seconds are of
    a turn, rates tokens a second; null where nothing was measured."""
    best = best_of(outcomes)
    return {
        "schema": 1,
        "model": str(bench.path),
        "server": {"path": str(bench.binary.path), "build": bench.binary.build},
        "prompt_tokens": bench.turn.prompt,
        "generated_tokens": bench.turn.generate,
        "plans": [_outcome_json(o, best) for o in outcomes],
        "fastest": None if best is None else outcomes.index(best),
        "argv": None if best is None else list(best.argv),
        "env": None if best is None else dict(best.variant.plan.env),
    }


def _outcome_json(outcome: Outcome, best: Outcome | None) -> dict[str, Any]:
    m, plan = outcome.measured, outcome.variant.plan
    return {
        "kind": outcome.variant.kind,
        "name": outcome.variant.name,
        "fastest": outcome is best,
        "argv": list(outcome.argv),
        "env": dict(plan.env),
        "speed": speed_json(plan.speed),
        "expected_seconds": outcome.expected,
        "least_seconds": outcome.least,
        "prompt_tokens_per_second": None if m is None else m.prompt_rate,
        "tokens_per_second": None if m is None else m.decode_rate,
        "turn_seconds": None if m is None else m.turn_seconds,
        "measured_at": None if m is None else m.at,
        "measured_before": outcome.before,
        "problem": outcome.problem,
        "not_loaded": outcome.beaten_by is not None,
        "note": note_of(outcome, best),
    }


def tuning_lines(bench: Bench, outcomes: Sequence[Outcome]) -> list[str]:
    """A line a plan, and the command of the fastest."""
    best, turn = best_of(outcomes), bench.turn
    rows: Rows = [_row(o, best) for o in outcomes]
    lines = [
        f"measured here with llama-server {bench.binary.build or bench.binary.version}: a prompt of {turn.prompt:,} tokens, "
        f"{turn.generate:,} generated",
        *grid(_HEADS, rows, left=(0, 5)),
        "prompt, decode and said in tokens a second, a turn in seconds",
    ]
    if best is None:
        return lines
    env = "".join(f"{k}={shell_word(v)} " for k, v in best.variant.plan.env)
    return [*lines, "", env + shell_line(["llama-server", "-m", str(bench.path), *best.argv])]


def note_of(outcome: Outcome, best: Outcome | None) -> str:
    """What came of it beside the figures."""
    if outcome.beaten_by is not None:
        return f"not loaded: {outcome.least:,.1f} s at the least, and {outcome.beaten_by:,.1f} s were measured"
    said = ["the fastest"] if outcome is best else []
    said += ["measured before"] if outcome.before else []
    return outcome.problem or ", ".join(said)


def _row(outcome: Outcome, best: Outcome | None) -> tuple[str, ...]:
    m, speed = outcome.measured, outcome.variant.plan.speed
    measured = (NONE, NONE) if m is None else (f"{m.prompt_rate:,.0f}", f"{m.decode_rate:,.3g}")
    said = NONE if speed is None else f"{speed.low:.3g} to {speed.high:.3g}"
    seconds = NONE if m is None else f"{m.turn_seconds:,.2f}"
    return (outcome.variant.name, *measured, said, seconds, note_of(outcome, best))
