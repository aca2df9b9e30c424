"""Tokens a second of a placement: as measurements have it, and the yardstick that plans are compared by."""

from dataclasses import dataclass
from typing import Literal

from kvtui.base.findings import Finding
from kvtui.cache.support import runs_at
from kvtui.hardware.device import Machine
from kvtui.memory.assignment import Assignment
from kvtui.placement.decode import Work, still_of, work_of
from kvtui.placement.pace import calibrated_seconds, pace
from kvtui.placement.prompt import Bound, Prompt, prompt_of
from kvtui.placement.request import Request
from kvtui.placement.solve.problem import seconds_per_byte

NO_RAM_BANDWIDTH = "no-ram-bandwidth"
CALIBRATED: Literal["calibrated"] = "calibrated"
MEASURED_HERE: Literal["measured here"] = "measured here"
Source = Literal["calibrated", "measured here"]


@dataclass(frozen=True)
class Speed:
    """`decode_seconds_per_token`: the yardstick, at full context. Tokens a second as measurements have them: expected at full
    context, and at an empty one; from `low` (full) to `high` (empty) is where four of five measured machines would be.
    `prompt_bound`: what takes most of a prompt's time; `prompt_at_most`: the arithmetic of a place that computes it was never
    measured, so that it is slower. `source`: of tokens a second; `prompt_source`: of the prompt's; `measured_at`: seconds since
    the epoch, where it is this machine's own."""

    decode_seconds_per_token: float
    tokens_per_second: float
    tokens_per_second_empty: float
    low: float
    high: float
    prompt_tokens_per_second: float
    prompt_bound: Bound
    prompt_at_most: bool
    source: Source = CALIBRATED
    measured_at: float | None = None
    prompt_source: Source = CALIBRATED
    prompt_measured_at: float | None = None

    @property
    def is_own(self) -> bool:
        """Whether tokens a second were measured on this machine."""
        return self.source == MEASURED_HERE


def placed_speed(request: Request, assignment: Assignment) -> Speed | None:
    """Of a request's model under an assignment; None where a device in use, or RAM in use, has no known bandwidth."""
    model, context, machine = request.model, request.context, request.machine
    return speed_of(_work(request, assignment), machine, prompt_of(model, context, assignment, machine))


def _work(request: Request, assignment: Assignment) -> Work:
    model, context, machine = request.model, request.context, request.machine
    runs = runs_at(model, context, machine.devices, build=request.build, fa_quants=request.fa_quants)
    speeds = seconds_per_byte(machine)
    return work_of(model, context, still_of(model, assignment, len(speeds)), runs, speeds)


def no_ram_bandwidth(request: Request, assignment: Assignment) -> tuple[Finding, ...]:
    """A note where nothing is known of RAM's bandwidth and there would be a speed if it were."""
    ram = request.machine.ram
    if ram.bandwidth is not None or not _work(request, assignment).uses_ram:
        return ()
    how = "write it as --ram SIZE@BANDWIDTH" if ram.simulated else "kvtui devices --measure measures it in a second"
    text = f"no tokens a second are said: RAM is read for each of them, and its bandwidth is not known; {how}"
    return (Finding(NO_RAM_BANDWIDTH, "note", text),)


def speed_of(work: Work, machine: Machine, prompt: Prompt) -> Speed | None:
    """Of a token's work and a prompt's."""
    by = pace()
    full, empty = calibrated_seconds(work, machine, by), calibrated_seconds(work, machine, by, share=0.0)
    if not full or not empty or not prompt.seconds:
        return None
    return Speed(
        decode_seconds_per_token=work.yardstick_seconds,
        tokens_per_second=1.0 / full,
        tokens_per_second_empty=1.0 / empty,
        low=by.low / full,
        high=by.high / empty,
        prompt_tokens_per_second=1.0 / prompt.seconds,
        prompt_bound=prompt.bound,
        prompt_at_most=prompt.at_least,
    )
