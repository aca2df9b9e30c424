"""CUDA_VISIBLE_DEVICES over GPUs that NVML lists in another order than PCI's."""

from dataclasses import replace

import pytest

from kvtui.hardware.nvidia.gpu import Gpu
from kvtui.hardware.nvidia.nvml import as_devices
from kvtui.hardware.nvidia.visible import visible


def _gpu(index: int, bus: str, uuid: str) -> Gpu:
    return Gpu(index, f"gpu {index}", uuid, f"00000000:{bus}:00.0", 2, 1, 1, None, None, None, None, None)


_GPUS = (_gpu(0, "81", "GPU-cc11"), _gpu(1, "01", "GPU-aa11"), _gpu(2, "41", "GPU-aa22"))


@pytest.mark.parametrize(
    ("setting", "indices"),
    [
        (None, [1, 2, 0]),  # by bus: 01, 41, 81
        ("2,0", [0, 1]),
        (" 1 , 2 ", [2, 0]),
        ("GPU-cc,0", [0, 1]),
        ("GPU-aa", []),  # two begin so
        ("0,7,1", [1]),  # what follows an unknown one is not seen
        ("-1", []),
        ("", []),
        ("1,1", []),
        ("MIG-GPU-aa11/1/0", []),
    ],
)
def test_the_order_llama_server_sees(setting: str | None, indices: list[int]) -> None:
    assert [gpu.index for gpu in visible(_GPUS, setting)] == indices


def test_a_gpu_that_tells_no_memory_keeps_its_number() -> None:
    first, second = _GPUS[1], _GPUS[2]
    devices = as_devices((replace(first, total_bytes=None, free_bytes=None), second))
    assert [(d.name, d.pci_id) for d in devices] == [("CUDA1", "00000000:41:00.0")]
