"""Tokens a second: the yardstick at a full and an empty context, with the hand-off cost that was measured."""

from dataclasses import dataclass

from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem

_PROMPT_FLOPS_SHARE = 0.25  # of the bandwidth-bound time a token of a full batch costs on the devices themselves
_LINK = 16e9  # bytes a second of a PCIe link that is not known


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
        prompt_tokens_per_second=1.0 / prompt_seconds(problem, candidate),
    )


def prompt_seconds(problem: Problem, candidate: Candidate) -> float:
    """Prompt seconds a token: experts in RAM cross the first device's link once a ubatch, and the devices' own part."""
    machine = problem.request.machine
    in_ram = sum(m.n_bytes for m, place in zip(problem.movables, candidate.places, strict=True) if place == CPU)
    link = next((d.link for d in machine.devices if d.link), None) or _LINK
    batch = max(problem.compute.ubatch, 1)
    own = sum(
        m.n_bytes * problem.seconds_per_byte[p] for m, p in zip(problem.movables, candidate.places, strict=True) if p != CPU
    )
    own += sum(r * problem.seconds_per_byte[h] for r, h in zip(problem.home_read, candidate.homes, strict=True))
    return max(in_ram / (batch * link) + own * _PROMPT_FLOPS_SHARE / batch * 8, 1e-9)
