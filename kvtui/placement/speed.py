"""Tokens a second: the yardstick at a full and an empty context, with the hand-off cost that was measured."""

from dataclasses import dataclass

from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem

_UNKNOWN_LINK = 16 * 0.985e9  # bytes a second: PCIe 3.0, sixteen lanes of 8 GT/s in 128b/130b coding


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
    """Prompt seconds a token, by bandwidths alone: once a ubatch the experts in RAM cross the link of the first device, which
    computes them (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur), and the devices read all that is on them.
    Arithmetic is not counted: a prompt is never faster."""
    devices = problem.request.machine.devices
    if not devices:
        link = 1.0 / problem.seconds_per_byte[CPU]  # nothing crosses: RAM is read
    else:
        link = devices[0].link or _UNKNOWN_LINK
    speed = problem.seconds_per_byte
    seconds = sum(size * speed[home] for size, home in zip(problem.home_bytes, candidate.homes, strict=True))
    for movable, place in zip(problem.movables, candidate.places, strict=True):
        seconds += movable.n_bytes * (1.0 / link if place == CPU else speed[place])
    return seconds / max(problem.compute.ubatch, 1)
