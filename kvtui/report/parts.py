"""The parts of a device's memory once: their names in JSON, their headings and widths in the text table."""

from dataclasses import dataclass

from kvtui.base.sizes import mib
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.amounts import DeviceMemory, Estimate, HostUse
from kvtui.memory.beside.part import Part as Beside
from kvtui.memory.fits import RAM


@dataclass(frozen=True)
class Part:
    """`key`: the field of DeviceMemory and HostUse, and its name in JSON; bytes. `heading` "": JSON alone has it."""

    key: str
    heading: str = ""
    width: int = 0  # columns of MiB in the text table


_SHARED = (
    Part("weights_bytes", "weights", 10),
    Part("cache_bytes", "K/V", 9),
    Part("recurrent_bytes", "state", 8),
    Part("compute_bytes", "compute", 9),
    Part("beside_bytes", "beside", 9),
    Part("expert_cache_bytes"),
)
_USED = Part("used_bytes", "used", 10)
OF_DEVICES = (*_SHARED, Part("overhead_bytes", "overhead", 9), Part("growth_bytes"), _USED)
OF_THE_HOST = (*_SHARED, Part("prompt_cache_bytes"), Part("checkpoint_bytes"), _USED)
IN_TEXT = tuple(p for p in OF_DEVICES if p.heading)


def values(use: DeviceMemory | HostUse, parts: tuple[Part, ...]) -> dict[str, int]:
    """Bytes of each part, by its key; 0 where there is none of it in RAM."""
    return {part.key: int(getattr(use, part.key, 0)) for part in parts}


def beside_lines(machine: Machine, memory: Estimate) -> list[str]:
    """What loads beside the model, a line each: `beside: mtp on CUDA1: K/V 1,024 MiB, compute 1,226 MiB`."""
    return [f"beside: {_of_part(p, RAM if p.device == CPU else machine.devices[p.device].name)}" for p in memory.beside]


def _of_part(part: Beside, where: str) -> str:
    sizes = (
        ("weights", part.weights_bytes),
        ("K/V", part.cache_bytes),
        ("state", part.recurrent_bytes),
        ("compute", part.compute_bytes),
        ("logits", part.output_bytes),
    )
    return f"{part.what} on {where}: {', '.join(f'{name} {mib(n_bytes)}' for name, n_bytes in sizes if n_bytes)}"
