"""Why a tensor is where a plan has it: the rule that put it there."""

from typing import TYPE_CHECKING

from kvtui.base.sizes import amount
from kvtui.flags.patterns import compiled
from kvtui.hardware.device import CPU
from kvtui.model.spec import Tensor

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan


def why_here(plan: "Plan", tensor: Tensor) -> str:
    """Pinned; only looked up; with its block; or moved from there, and what its block's device has left."""
    request, assignment = plan.request, plan.assignment
    pin = next((p for p in request.pins if compiled(p.pattern).search(tensor.name)), None)
    if pin is not None:
        return f"pinned by {pin.pattern}={pin.device}"
    here = assignment.tensor_devices[tensor.index]
    if tensor.looked_up and here == CPU:
        return "in RAM since only rows of it are looked up at each token"
    home = assignment.layer_devices[-1 if tensor.block is None else tensor.block]
    whose = "the output's" if tensor.block is None else "its block's"
    if here == home:
        return f"with the rest: {place(plan, home)} is {whose} home"
    if home == CPU:
        return f"moved from RAM, {whose} home: {place(plan, here)} reads it faster"
    left = max(request.capacities[home] - plan.estimate.devices[home].used_bytes, 0)
    room = f"{place(plan, home)}, {whose} home, has {amount(left)} left"
    if left < tensor.n_bytes:
        return f"moved: {room}, and it takes {amount(tensor.n_bytes)}"
    return f"moved: {room}, but the plan is faster so"


def place(plan: "Plan", device: int) -> str:
    """A device's name, or RAM."""
    return "RAM" if device == CPU else plan.request.machine.devices[device].name
