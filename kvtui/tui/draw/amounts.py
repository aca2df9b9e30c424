"""Amounts and names as the panes say them: short, and never 0.00 of a large unit."""

from kvtui.base.sizes import amount

_VENDORS = ("NVIDIA", "AMD", "Intel(R)", "Intel", "Apple")
_SERIES = ("GeForce", "Radeon", "Tesla", "Quadro", "Graphics")


def share(used: int, total: int) -> str:
    """`21.3 / 24.0 GiB`, `340 MiB / 24.0 GiB`."""
    left, right = amount(used), amount(total)
    return f"{left.removesuffix(right[-4:])} / {right}"


def short_card(description: str) -> str:
    """`RTX 3090` of `NVIDIA GeForce RTX 3090`: without the vendor, and without the series where a number tells the card."""
    words = description.split()
    while len(words) > 1:
        rest = words[1:]
        if words[0] in _VENDORS or (words[0] in _SERIES and any(c.isdigit() for c in "".join(rest))):
            words = rest
        else:
            break
    return " ".join(words)
