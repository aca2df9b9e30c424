"""What this machine has."""

import os

from kvtui.hardware import nvml
from kvtui.hardware.device import Machine
from kvtui.hardware.host import host_memory
from kvtui.hardware.visible import visible


def find_machine() -> Machine:
    """NVIDIA GPUs that CUDA may see, in PCI order, and RAM. No GPU is a normal machine."""
    gpus = visible(nvml.poll().gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Machine(nvml.as_devices(gpus), host_memory())
