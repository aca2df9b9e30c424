"""Amounts and names as the panes say them: short, and never 0.00 of a large unit."""

from kvtui.base.sizes import GIB, MIB

_VENDORS = ("NVIDIA", "AMD", "Intel(R)", "Intel", "Apple")
_SERIES = ("GeForce", "Radeon", "Tesla", "Quadro", "Graphics")


def amount(n_bytes: int, digits: int = 1) -> str:
    """`21.3 GiB`, `340 MiB` below one GiB, `28 KiB` below one MiB."""
    if n_bytes >= GIB:
        return f"{n_bytes / GIB:,.{digits}f} GiB"
    return f"{n_bytes / MIB:,.0f} MiB" if n_bytes >= MIB or n_bytes == 0 else f"{n_bytes / 1024:,.0f} KiB"


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


def short_context(tokens: int) -> str:
    """`32k` for 32,768 and 32,000, `1M` for 1,048,576; small ones whole."""
    if tokens >= 1_000_000:
        return f"{tokens / 1e6:.1f}M".replace(".0M", "M")
    for thousand in (1024, 1000):
        if tokens >= 1000 and tokens % thousand == 0:
            return f"{tokens // thousand}k"
    return f"{tokens / 1000:.1f}k" if tokens >= 10_000 else f"{tokens:,}"
