"""What servers showed on this machine, kept, and put in place of the calibrated speed of exactly the plan they ran."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.hardware.nvidia import nvml
from kvtui.placement.measured_speed import Reading, through
from kvtui.placement.speed import CALIBRATED, placed_speed
from kvtui.server.measure.measured import conditions, gpu_pair
from kvtui.server.measure.served import LEAST_GENERATED, ServedRate
from kvtui.server.measure.speeds import MeasuredSpeed, SeenRate, SpeedSetting, keep_rate, kept_rates, kept_speeds
from kvtui.tasks.speeds_here import measured_with

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.process.record import ServerRecord


def known_rates(state: Path | None = None) -> tuple[SeenRate, ...]:
    """All that was measured here with the driver that is loaded now, newest first."""
    rates = [*kept_rates(state), *(r for s in kept_speeds(state) for r in _rates(s))]
    if not rates:
        return ()
    driver = nvml.poll().driver or ""
    return tuple(sorted((r for r in rates if r.setting.driver == driver), key=lambda r: -r.at))


def _rates(speed: MeasuredSpeed) -> Iterable[SeenRate]:
    """Of a run that was measured on purpose."""
    depth = speed.prompt_tokens + speed.generated_tokens // 2
    if speed.generated_tokens >= LEAST_GENERATED:
        served = ServedRate("decode", speed.decode_rate, speed.generated_tokens, depth)
        yield SeenRate(speed.setting, speed.argv, speed.at, served)
    served = ServedRate("prompt", speed.prompt_rate, speed.prompt_tokens, speed.prompt_tokens)
    yield SeenRate(speed.setting, speed.argv, speed.at, served)


def with_own_speed(plan: "Plan", more: Sequence[str], known: Sequence[SeenRate]) -> "Plan":
    """`plan` with its own speed where it ran here under these conditions, the newest of what is known; a simulated machine has
    none. `more`: arguments that a config gives the server."""
    speed, request = plan.speed, plan.request
    if speed is not None and (speed.source, speed.prompt_source) != (CALIBRATED, CALIBRATED):
        speed = placed_speed(request, plan.assignment)
    if speed is None or not known or any(d.simulated and not d.endpoint for d in request.machine.devices):
        return replace(plan, speed=speed)
    flags = conditions((*plan.argv, *more))
    mine = [s for s in known if s.argv == flags and measured_with(s.setting, request)]
    decode = _newest(mine, lambda r: r.kind == "decode")
    # one that fills no batch is read slower than those that a prompt's speed is said of
    prompt = _newest(mine, lambda r: r.kind == "prompt" and r.tokens >= request.context.n_ubatch)
    cells = request.context.cells(request.model.n_ctx_train)
    return replace(plan, speed=through(speed, decode, prompt, cells))


def _newest(rates: Sequence[SeenRate], fits: Callable[[ServedRate], bool]) -> Reading | None:
    found = next((s for s in rates if fits(s.served)), None)
    return None if found is None else Reading(found.served.rate, found.served.depth, found.at)


def keep_served(record: "ServerRecord", served: Sequence[ServedRate], state: Path | None = None) -> bool:
    """Keep what a server of ours showed; False for a record that does not say what it was launched for."""
    plan = record.plan or {}
    try:
        said = plan["conditions"]
        gpus = tuple(gpu_pair(pair) for pair in said["gpus"])
        setting = SpeedSetting(str(said["server"]), str(said["model"]), gpus, nvml.poll().driver or "")
        flags = conditions([*map(str, said["argv"]), *map(str, plan.get("more", ()))])
    except (KeyError, TypeError, ValueError):
        return False
    for rate in served:
        keep_rate(SeenRate(setting, flags, time.time(), rate), state)
    return True
