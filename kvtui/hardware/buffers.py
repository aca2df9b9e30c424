"""How -ot calls the memory of a device (ggml_backend_buft_name)."""

from collections import Counter
from collections.abc import Sequence

from kvtui.base.findings import UsageError
from kvtui.hardware.device import CPU, Device


def buffer_device(buffer: str, devices: Sequence[Device]) -> int:
    """Index of the device a buffer type's name means, CPU for RAM. Raises UsageError."""
    names = buffer_names(devices)
    if buffer == "CPU":
        return CPU
    if buffer in names:
        return names.index(buffer)
    raise UsageError(f"-ot: there is no buffer {buffer}; llama-server would know {', '.join(['CPU', *names])}")


def buffer_names(devices: Sequence[Device]) -> tuple[str, ...]:
    """What -ot calls the memory of each device: its name, and `RPC1[host:port]` for a real RPC device, whose number counts
    on that server (ggml-rpc.cpp, ggml_backend_rpc_buffer_type). A simulated one without an endpoint goes by its name."""
    seen: Counter[str] = Counter()
    names = []
    for device in devices:
        names.append(f"RPC{seen[device.endpoint]}[{device.endpoint}]" if device.endpoint else device.name)
        if device.endpoint:
            seen[device.endpoint] += 1
    return tuple(names)
