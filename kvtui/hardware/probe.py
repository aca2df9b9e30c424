"""What this machine has."""

from kvtui.hardware import nvml
from kvtui.hardware.device import Machine
from kvtui.hardware.host import host_memory


def find_machine() -> Machine:
    """NVIDIA GPUs in PCI order, and RAM. No GPU is a normal machine."""
    return Machine(nvml.as_devices(nvml.poll()), host_memory())
