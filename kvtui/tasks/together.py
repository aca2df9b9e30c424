"""Several models on one machine at a time: each is planned in what those before it leave."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from kvtui.base.findings import UsageError
from kvtui.hardware.device import Machine
from kvtui.model.spec import ModelSpec
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.request import Request
from kvtui.tasks.options import Options


def left_by(plan: Plan) -> Machine:
    """The machine with what a plan takes no longer free: mapped weights too, which would be read again and again."""
    machine, memory = plan.request.machine, plan.estimate
    devices = tuple(
        replace(device, free_bytes=max(device.free_bytes - use.used_bytes, 0))
        for device, use in zip(machine.devices, memory.devices, strict=True)
    )
    return Machine(devices, replace(machine.ram, free_bytes=max(machine.ram.free_bytes - memory.host.used_bytes, 0)))


def plans_together(
    models: Iterable[tuple[Path, ModelSpec]], options: Options, request_of: Callable[[ModelSpec, Options], Request]
) -> tuple[tuple[Path, Plan], ...]:
    """A plan each, in this order, up to the first that does not fit. UsageError where no context was asked for: the first
    would take all there is."""
    given = list(models)
    if len(given) > 1 and options.ctx_size is None:
        raise UsageError("-c is missing: without it the first of several models takes all the memory for its context")
    plans: list[tuple[Path, Plan]] = []
    for path, spec in given:
        request = request_of(spec, options)
        if plans:
            request = replace(request, machine=left_by(plans[-1][1]))
        plans.append((path, make_plan(request)))
        if not plans[-1][1].fits:
            break
    return tuple(plans)
