"""Prompt speed said against measured: `python -m tests.bench.prompts`.

Fits the factors of data/prompts.toml to the rows of tests/data/prompts.json (each card's rows by their median, a family's cards
by their geometric mean), then again with each card left out, and prints how far off what is said of it then is."""

import json
import statistics
from pathlib import Path
from typing import Any

from kvtui.hardware.arithmetic import families
from kvtui.hardware.cards import all_cards

ROWS = Path(__file__).parent.parent / "data" / "prompts.json"


def operations(row: dict[str, Any]) -> float:
    """Of a token of the row's prompt: its matrices, and attention at the mean depth."""
    return 2.0 * row["matrix_elements"] + 4.0 * row["n_layer"] * row["n_embd"] * row["n_prompt"] / 2


def ratio(row: dict[str, Any]) -> float:
    """Operations a second for each f32 one of the card's peak."""
    card = next(c for c in all_cards() if c.name == row["card"])
    assert card.flops is not None, row["card"]
    return float(row["tok_s"] * operations(row) / card.flops)


def main() -> None:
    """Prints a line a family."""
    rows = json.loads(ROWS.read_text(encoding="utf-8"))["rows"]
    for name, family in families().items():
        mine = [r for r in rows if r["family"] == name]
        cards = {c: statistics.median(ratio(r) for r in mine if r["card"] == c) for c in {r["card"] for r in mine}}
        fitted = statistics.geometric_mean(cards.values())
        worst = max(mine, key=lambda r: abs(fitted / ratio(r) - 1))
        line = f"{name:12} {fitted:.2f}, in data/prompts.toml {family['factor']}; {len(mine)} rows, worst {worst['card']} "
        line += f"{worst['types']} off by {fitted / ratio(worst) - 1:+.0%}"
        if len(cards) > 1:
            out = {c: statistics.geometric_mean(v for o, v in cards.items() if o != c) / cards[c] - 1 for c in cards}
            line += "; a card left out: " + ", ".join(f"{c} {off:+.0%}" for c, off in sorted(out.items()))
        print(line)


if __name__ == "__main__":
    main()
