"""What this machine has."""

import os

from kvtui.hardware.device import Machine
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.nvidia.visible import visible
from kvtui.hardware.ram import host_memory


def find_machine() -> Machine:
    """NVIDIA GPUs that CUDA may see, in PCI order, and RAM. No GPU is a normal machine."""
    gpus = visible(nvml.poll().gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Machine(nvml.as_devices(gpus), host_memory())
