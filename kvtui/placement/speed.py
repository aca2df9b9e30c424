"""Tokens a second: the yardstick at a full and an empty context, with the hand-off cost that was measured."""

from dataclasses import dataclass

from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem


@dataclass(frozen=True)
class Speed:
    """Seconds and tokens a second. `low` at full context, `high` at an empty one."""

    decode_seconds_per_token: float
    tokens_per_second: float
    low: float
    high: float
    prompt_tokens_per_second: float


def speed_of(problem: Problem, candidate: Candidate) -> Speed | None:
    """None where a device in use, or RAM in use, has no known bandwidth."""
    machine = problem.request.machine
    used = set(candidate.homes) | set(candidate.places)
    known = all(machine.devices[d].bandwidth for d in used if d != CPU) and (CPU not in used or machine.ram.bandwidth)
    seconds = candidate.score.seconds
    if not known or seconds <= 0:
        return None
    empty = seconds - sum(
        layer.read_bytes * problem.seconds_per_byte[home]
        for layer, home in zip(problem.layout.layers, candidate.homes, strict=False)
    )
    return Speed(
        decode_seconds_per_token=seconds,
        tokens_per_second=1.0 / seconds,
        low=1.0 / seconds,
        high=1.0 / max(empty, HANDOFF_SECONDS),
        prompt_tokens_per_second=1.0 / candidate.score.prompt_seconds,
    )
