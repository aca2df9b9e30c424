"""RAM's bandwidth measured when a plan first needs it."""

import time
from collections.abc import Callable
from dataclasses import replace

from kvtui.hardware.ram_speed import SECONDS
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Request
from kvtui.placement.speed import NO_RAM_BANDWIDTH
from kvtui.tasks.ram_speed import CALLED_OFF, measure_ram

_LEAST_LEFT_SECONDS = 2 * SECONDS


def with_ram_speed(request: Request, say: Callable[[str], object], deadline: float | None = None) -> Request:
    """`request`, with RAM's bandwidth measured if its plan needs one that was never measured here; `say` hears of it. Not where
    `deadline` (of time.monotonic) leaves no time for a plan then."""
    ram = request.machine.ram
    if ram.simulated or ram.bandwidth is not None or (deadline and deadline - time.monotonic() < _LEAST_LEFT_SECONDS):
        return request
    if not needs_ram_speed(quick_plan(request)):
        return request
    say("measuring RAM's bandwidth, for a second, once on this machine")
    measured = measure_ram(ram)
    if measured is None:
        say(CALLED_OFF)
        return request
    return replace(request, machine=replace(request.machine, ram=measured))


def needs_ram_speed(plan: Plan) -> bool:
    """Whether a measurement would give the plan a speed."""
    return not plan.request.machine.ram.simulated and any(f.code == NO_RAM_BANDWIDTH for f in plan.findings)
