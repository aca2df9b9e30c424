"""A plan's speed once it was measured: the calibrated curve from an empty context to a full one, moved through what was."""

from dataclasses import dataclass, replace

from kvtui.placement.pace import pace
from kvtui.placement.speed import MEASURED_HERE, Speed

RUN_TO_RUN = 0.05  # of a speed, to either side: chosen; a reply is short, and something else may run beside it


@dataclass(frozen=True)
class Reading:
    """Tokens a second with `depth` tokens in the context. `at`: seconds since the epoch."""

    rate: float
    depth: int
    at: float


def through(speed: Speed, decode: Reading | None, prompt: Reading | None, cells: int) -> Speed:
    """`speed`, which is calibrated, as it is where these were measured; `cells`: tokens of a full context."""
    if decode is not None:
        speed = _through(speed, decode, cells)
    if prompt is not None:
        speed = replace(
            speed,
            prompt_tokens_per_second=prompt.rate,
            prompt_at_most=False,
            prompt_source=MEASURED_HERE,
            prompt_measured_at=prompt.at,
        )
    return speed


def _through(speed: Speed, decode: Reading, cells: int) -> Speed:
    """The range is as wide as replies differ at the depth that was measured; what the caches cost from there to a full context,
    and to an empty one, is as uncertain as it was."""
    full, empty = 1 / speed.tokens_per_second, 1 / speed.tokens_per_second_empty
    share = min(decode.depth / max(cells, 1), 1.0)
    measured = 1 / decode.rate
    factor = measured / (empty + share * (full - empty))
    slope = factor * (full - empty)
    by = pace()
    slowest = measured + (1 - share) * slope / by.low
    fastest = max(measured - share * slope / by.low, factor * empty / by.high)
    return replace(
        speed,
        tokens_per_second=1 / (factor * full),
        tokens_per_second_empty=1 / (factor * empty),
        low=(1 - RUN_TO_RUN) / slowest,
        high=(1 + RUN_TO_RUN) / fastest,
        source=MEASURED_HERE,
        measured_at=decode.at,
    )
