"""Which device each block is on: src/llama-model.cpp, load_tensors (splits and get_layer_buft_list), in float32 as there."""

import struct
from collections.abc import Sequence

from kvtui.hardware.device import CPU

_F32 = struct.Struct("f")


def f32(x: float) -> float:
    """`x` rounded to the float32 that llama.cpp computes with."""
    return float(_F32.unpack(_F32.pack(x))[0])


def layer_devices(n_layer_all: int, n_gpu_layers: int, splits: Sequence[float]) -> tuple[int, ...]:
    """One entry a block and the output last; indices into `splits`, CPU below the first block that is offloaded.

    `splits`: one weight a device, from -ts or the free memory; `n_gpu_layers`: -ngl, any number past the blocks is all."""
    cumulated, total = [], 0.0
    for share in splits:
        total = f32(total + f32(share))
        cumulated.append(total)
    if not cumulated or total <= 0:
        return (CPU,) * (n_layer_all + 1)
    cumulated = [f32(c / total) for c in cumulated]
    start = max(n_layer_all + 1 - n_gpu_layers, 0)
    active = min(n_gpu_layers, n_layer_all + 1)
    devices = []
    for il in range(n_layer_all + 1):
        if il < start or il - start >= active:
            devices.append(CPU)
            continue
        at = f32((il - start) / active)
        # std::upper_bound: the first split above `at`
        devices.append(next((i for i, c in enumerate(cumulated) if c > at), len(cumulated) - 1))
    return tuple(devices)
