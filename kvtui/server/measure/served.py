"""How fast a server was with the requests it served, by its counters: of times when one slot alone was at work."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kvtui.server.http.client import Slot

LEAST_GENERATED = 64  # tokens: a rate over fewer is mostly the first one's
LEAST_PROMPT = 512  # tokens: llama.cpp's usual physical batch (common/common.h, common_params::n_ubatch)
_ALONE = 1.02  # slots at work, on average over the decodes
_SHARP = 0.02  # of a difference: what the counters' rounding may be
_DIGITS = 6  # of a counter in /metrics: what an ostream prints of a double (server_task_result_metrics::to_metrics)
_BUSY, _DECODES = "n_busy_slots_per_decode", "n_decode_total"
_PROMPT = ("prompt_tokens_total", "prompt_seconds_total")
_PREDICTED = ("tokens_predicted_total", "tokens_predicted_seconds_total")

Kind = Literal["decode", "prompt"]


@dataclass(frozen=True)
class ServedRate:
    """Tokens a second over `tokens` of them. `depth`: tokens in the slot while they were generated, on average; of a prompt,
    those that it was long."""

    kind: Kind
    rate: float
    tokens: int
    depth: int


@dataclass(frozen=True)
class Idle:
    """Counters and slots of a look at which no slot was at work; requests are counted between two of them."""

    counters: Mapping[str, float]
    slots: tuple[Slot, ...]


def served_since(before: Idle, counters: Mapping[str, float], slots: Sequence[Slot]) -> tuple[ServedRate, ...]:
    """What one slot alone did since; () where more were at work, where it is not known which, or where nothing can be told of
    so little. Counters that went back are another server's."""
    if not _alone(before.counters, counters):
        return ()
    changed = [now for now, then in zip(slots, before.slots, strict=False) if now != then]
    if len(changed) != 1 or len(slots) != len(before.slots):
        return ()
    found: list[ServedRate] = []
    generated, prompt = _rate(_PREDICTED, before.counters, counters), _rate(_PROMPT, before.counters, counters)
    if generated is not None and generated[1] >= LEAST_GENERATED and changed[0].used:
        depth = max(changed[0].used - generated[1] // 2, 0)
        found.append(ServedRate("decode", *generated, depth))
    if prompt is not None and prompt[1] >= LEAST_PROMPT:
        found.append(ServedRate("prompt", *prompt, prompt[1]))
    return tuple(found)


def _alone(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    try:
        busy = [c[_BUSY] * c[_DECODES] for c in (before, after)]
        decodes = after[_DECODES] - before[_DECODES]
    except KeyError:  # a build that does not count them
        return False
    rounding = _step(after[_BUSY]) * after[_DECODES]
    return decodes > 0 and rounding <= _SHARP * decodes and busy[1] - busy[0] <= _ALONE * decodes + rounding


def _rate(names: tuple[str, str], before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, int] | None:
    """(tokens a second, tokens) between two looks; None where the counters are too coarse for it."""
    differences = []
    for name in names:
        if name not in before or name not in after:
            return None
        difference = after[name] - before[name]
        if difference <= 0 or _step(after[name]) > _SHARP * difference:
            return None
        differences.append(difference)
    tokens, seconds = differences
    return tokens / seconds, round(tokens)


def _step(value: float) -> float:
    """What the last printed digit of a counter stands for."""
    return 10.0 ** (math.floor(math.log10(value)) + 1 - _DIGITS) if value > 0 else 0.0
