"""What a token at full context reads of the caches, as the pair runs: its bytes, the f16 copies made of them, or RAM's pace."""

from collections.abc import Sequence

from kvtui.cache.kernels import Runs
from kvtui.cache.layout import CacheLayout

COPY_PASSES = 2  # a converted pair is written once as f16 and read once as f16


def cache_seconds(
    layout: CacheLayout,
    as_f16: CacheLayout,
    homes: Sequence[int],
    runs: Sequence[Runs],
    seconds_per_byte: Sequence[float],
) -> float:
    """Seconds a token. `as_f16`: the same context's caches as f16/f16; `homes`: a device a block; `runs` and
    `seconds_per_byte`: of each device, RAM last (home -1)."""
    seconds = 0.0
    for own, plain, home in zip(layout.layers, as_f16.layers, homes, strict=False):
        if runs[home] == "cpu":
            seconds += own.read_bytes * seconds_per_byte[-1]
        elif runs[home] == "converted":
            seconds += (own.read_bytes + COPY_PASSES * plain.read_bytes) * seconds_per_byte[home]
        else:
            seconds += own.read_bytes * seconds_per_byte[home]
    return seconds
