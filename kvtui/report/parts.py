"""The parts of a device's memory once: their names in JSON, their headings and widths in the text table."""

from dataclasses import dataclass

from kvtui.memory.amounts import DeviceMemory, HostUse


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
