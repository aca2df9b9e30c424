"""Which flash-attention kernel runs, what it copies to f16, and how a pair of cache types therefore runs."""

from kvtui.cache.kernels.attention import (
    DEFAULT_FA_QUANTS,
    NEWEST_BUILD,
    Attention,
    Batch,
    Card,
    Choice,
    Flash,
    Kernel,
    Runs,
)
from kvtui.cache.kernels.running import Running, choose, f16_copy_bytes, f32_cast_bytes, running, worst

__all__ = [
    "DEFAULT_FA_QUANTS",
    "NEWEST_BUILD",
    "Attention",
    "Batch",
    "Card",
    "Choice",
    "Flash",
    "Kernel",
    "Running",
    "Runs",
    "choose",
    "f16_copy_bytes",
    "f32_cast_bytes",
    "running",
    "worst",
]
