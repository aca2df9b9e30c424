"""A device that is there and can't be planned for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unusable:
    """Shown beside the devices, never planned for."""

    name: str  # CUDA1: the number it keeps; "" where it has none
    description: str  # NVIDIA GeForce RTX 3090
    reason: str  # in plain words
