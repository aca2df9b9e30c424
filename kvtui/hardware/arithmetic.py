"""Operations a second that a device gets done of a prompt's matrices, as measurements have them (data/prompts.toml)."""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from kvtui.base.data import data_file
from kvtui.hardware.device import Device


@cache
def families() -> Mapping[str, Mapping[str, Any]]:
    """Name -> back end, targets, factor, as data/prompts.toml has them."""
    return tomllib.loads(data_file("prompts.toml").read_text(encoding="utf-8"))


def family_of(device: Device) -> str | None:
    """The family that was measured and has the device."""
    for name, family in families().items():
        targets = family.get("targets", (device.compute_capability,))
        if device.backend == family["backend"] and device.compute_capability in targets:
            return name
    return None


def operations_a_second(device: Device) -> float | None:
    """None where the card is not known, or none of its family was measured."""
    family = family_of(device)
    return None if family is None or device.flops is None else device.flops * float(families()[family]["factor"])
