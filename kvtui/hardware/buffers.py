"""How -ot calls the memory of a device (ggml_backend_buft_name)."""

from collections.abc import Sequence

from kvtui.base.findings import UsageError
from kvtui.hardware.device import CPU, Device


def buffer_device(buffer: str, devices: Sequence[Device]) -> int:
    """Index of the device a buffer type's name means. An RPC buffer is `RPC0[host:port]` on a real device, whose
    number counts on that server; a simulated one without an endpoint goes by its device name. Raises UsageError."""
    if buffer == "CPU":
        return CPU
    for i, device in enumerate(devices):
        if buffer == buffer_name(device):
            return i
    known = ", ".join(["CPU", *(buffer_name(d) for d in devices)])
    raise UsageError(f"-ot: there is no buffer {buffer}; llama-server would know {known}")


def buffer_name(device: Device) -> str:
    """What -ot calls the memory of `device` (ggml-rpc.cpp, ggml_backend_rpc_buffer_type: the number counts on its server)."""
    return f"RPC{device.on_server}[{device.endpoint}]" if device.endpoint else device.name
