"""What of a machine is described instead of had, as every output names it."""

from kvtui.hardware.device import Machine
from kvtui.memory.fits import RAM


def simulated_parts(machine: Machine) -> list[str]:
    """Names of what is simulated, RAM first."""
    return ([RAM] if machine.ram.simulated else []) + [d.name for d in machine.devices if d.simulated]


def simulated_lines(machine: Machine) -> list[str]:
    """`simulated: RAM, CUDA0`; () for a machine that is there."""
    parts = simulated_parts(machine)
    return [f"simulated: {', '.join(parts)}"] if parts else []
