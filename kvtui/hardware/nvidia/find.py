"""NVIDIA's line in the list of vendors."""

from kvtui.hardware.found import Found, Where
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.nvidia.reasons import NO_GPU
from kvtui.hardware.nvidia.visible import visible


def find(where: Where, backend: str, first: int = 0) -> Found:
    """NVIDIA's GPUs as devices of `backend`, from `first` on. Only CUDA heeds CUDA_VISIBLE_DEVICES."""
    state = nvml.poll()
    gpus = visible(state.gpus, where.environ.get("CUDA_VISIBLE_DEVICES") if backend == "CUDA" else None)
    return Found(
        nvml.as_devices(gpus, where.ram, backend, first),
        nvml.unusable(gpus, state.gpus, where.ram, backend, first),
        None if state.problem == NO_GPU else state.problem,  # a machine of another vendor's is no problem
    )
