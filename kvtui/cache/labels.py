"""What a pair of cache types costs in quality, in a word; and how near the model is on which somebody measured it."""

from typing import Literal

Label = Literal["reference", "as f16", "good", "fair", "risky"]
Kin = Literal["measured here", "this model", "a relative of this model", "another family"]

# The most mean KL divergence above f16/f16 that each label stands for. The steps are this program's own choice: 0.001 holds
# every 8-bit pair of both series, 0.002 what Qwen3.5-9B lost at q8_0/q4_0, 0.01 what it lost at q4_0/q4_0.
LABELS: tuple[tuple[float, Label], ...] = ((0.0, "reference"), (0.001, "as f16"), (0.002, "good"), (0.01, "fair"))
RANKS: dict[Label, int] = {name: i for i, name in enumerate((*[label for _, label in LABELS], "risky"))}  # 0 is the best label
HERE: Kin = "measured here"
