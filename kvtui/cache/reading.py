"""What a token at full context reads of the caches, as the pair runs: its bytes, the f16 copies made of them, or RAM's pace."""

from collections.abc import Sequence

from kvtui.cache.kernels import Runs
from kvtui.cache.layout import CacheLayout

COPY_PASSES = 2  # a converted pair is written once as f16 and read once as f16


def cache_reads(
    layout: CacheLayout, as_f16: CacheLayout, runs: Sequence[Runs], seconds_per_byte: Sequence[float]
) -> tuple[tuple[float, ...], ...]:
    """Bytes that count at each place's own pace, a block. `as_f16`: the same context's caches as f16/f16; `runs` and
    `seconds_per_byte`: of each place, RAM last."""
    as_ram = [seconds_per_byte[-1] / s for s in seconds_per_byte]
    return tuple(
        [
            tuple(
                [
                    own.read_bytes * as_ram[place]
                    if how == "cpu"
                    else float(own.read_bytes + COPY_PASSES * plain.read_bytes * (how == "converted"))
                    for place, how in enumerate(runs)
                ]
            )
            for own, plain in zip(layout.layers, as_f16.layers, strict=True)
        ]
    )


def cache_seconds(reads: Sequence[Sequence[float]], homes: Sequence[int], seconds_per_byte: Sequence[float]) -> float:
    """Seconds a token. `reads`: of `cache_reads`; `homes`: a device a block, RAM is -1."""
    return sum(read[home] * seconds_per_byte[home] for read, home in zip(reads, homes, strict=False))
