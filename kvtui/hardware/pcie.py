"""What a PCIe slot carries."""

# Bytes a second a lane, one way, after line coding (PCI Express base specifications 1.0 to 6.0).
_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
_GIGATRANSFERS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}  # GT/s a lane, as sysfs prints it, to generation


def link_rate(generation: int | None, lanes: int | None) -> float | None:
    """Bytes a second of that link; None for an unknown generation or no lanes."""
    return _LANE[generation] * lanes if generation in _LANE and lanes else None


def generation_of(speed: str) -> int | None:
    """The generation of sysfs's `max_link_speed`, "16.0 GT/s PCIe"."""
    try:
        return _GIGATRANSFERS.get(float(speed.split()[0]))
    except (ValueError, IndexError):
        return None
