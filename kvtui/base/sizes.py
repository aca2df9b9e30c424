"""Sizes and bandwidths as people write them: `22.8GiB`, `24GB`, `936GB/s`, bare bytes. MiB and GiB are binary."""

import re

from kvtui.base.findings import UsageError

MIB, GIB = 2**20, 2**30
F16_BYTES, F32_BYTES = 2, 4  # of a value (IEEE 754)
_UNITS = {
    "": 1,
    "b": 1,
    **{f"{p}ib": 1024 ** (i + 1) for i, p in enumerate("kmgt")},
    **{f"{p}b": 1000 ** (i + 1) for i, p in enumerate("kmgt")},
}
_SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-z]*)\s*$", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of `text`. Raises UsageError."""
    match = _SIZE.match(text)
    unit: int | None = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise UsageError(f"{text!r} is not a size; write it as 22.8GiB, 24GB or bytes")
    value = float(match[1]) * unit
    if value >= 2**63:
        raise UsageError(f"{text!r} is larger than any memory")
    return round(value)


def parse_bandwidth(text: str) -> float:
    """Bytes a second of `text` (`936GB/s`). Raises UsageError."""
    rate = text.strip()
    rate = rate[:-2] if rate.lower().endswith("/s") else rate
    try:
        return float(parse_size(rate))
    except UsageError:
        raise UsageError(f"{text!r} is not a bandwidth; write it as 936GB/s") from None


def mib(n_bytes: float) -> str:
    """`8,851 MiB`."""
    return f"{n_bytes / 2**20:,.0f} MiB"


def gib(n_bytes: float, digits: int = 1) -> str:
    """`22.1 GiB`."""
    return f"{n_bytes / 2**30:,.{digits}f} GiB"


def amount(n_bytes: int, digits: int = 1) -> str:
    """`21.3 GiB`, `340 MiB` below one GiB, `28 KiB` below one MiB."""
    if n_bytes >= GIB:
        return f"{n_bytes / GIB:,.{digits}f} GiB"
    return f"{n_bytes / MIB:,.0f} MiB" if n_bytes >= MIB or n_bytes == 0 else f"{n_bytes / 1024:,.0f} KiB"


def short_context(tokens: int) -> str:
    """`32k` for 32,768 and 32,000, `1M` for 1,048,576; small ones whole."""
    if tokens >= 1_000_000:
        return f"{tokens / 1e6:.1f}M".replace(".0M", "M")
    for thousand in (1024, 1000):
        if tokens >= 1000 and tokens % thousand == 0:
            return f"{tokens // thousand}k"
    return f"{tokens / 1000:.1f}k" if tokens >= 10_000 else f"{tokens:,}"
