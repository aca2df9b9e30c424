"""llama.cpp's back ends, a record each: how its devices and libraries are called, and how its buffers hold tensors."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backend:
    """One back end, as ggml/src/ggml-NAME has it."""

    name: str
    library: str  # ggml-LIBRARY beside the binary
    prefix: str  # of its devices' names; "" where the back end has no devices of its own
    alignment_bytes: int = 128  # tensors begin at multiples of it (ggml_backend_buft_get_alignment)
    row_padding_values: int = 0  # a quantised row takes a multiple of so many values (MATRIX_ROW_PADDING); 0: none
    is_cuda: bool = False  # built from ggml-cuda.cu
    host_buffer: bool = False  # weights in RAM go to its pinned buffers, before the CPU's own (ggml_backend_dev_host_buffer_type)
    usual_bandwidth: float = 400e9  # bytes a second for ordering devices that tell none; between today's desktop GPUs


# In the order in which a person reads them. CUDA, ROCm and MUSA are one source (ggml-cuda.cu), built three times.
BACKENDS: tuple[Backend, ...] = (
    Backend("CPU", "cpu", "", 32, usual_bandwidth=60e9),  # two channels of DDR4-3600: 57.6 GB/s
    Backend("CUDA", "cuda", "CUDA", row_padding_values=512, is_cuda=True, host_buffer=True, usual_bandwidth=600e9),
    Backend("ROCm", "hip", "ROCm", row_padding_values=512, is_cuda=True, host_buffer=True),
    Backend("Vulkan", "vulkan", "Vulkan", 64, host_buffer=True),
    Backend("MTL", "metal", "MTL", 32),
    Backend("SYCL", "sycl", "SYCL", host_buffer=True),
    Backend("RPC", "rpc", "RPC", 32),
    Backend("OpenCL", "opencl", "GPUOpenCL"),
    Backend("CANN", "cann", "CANN", host_buffer=True),
    Backend("MUSA", "musa", "MUSA", row_padding_values=512, is_cuda=True, host_buffer=True),
)
BY_NAME = {b.name: b for b in BACKENDS}
BY_LIBRARY = {b.library: b for b in BACKENDS}
HOST = BY_NAME["CPU"]
# a device whose name has no known prefix: the plainest rules
UNKNOWN = Backend("", "", "", 32)


def backend_of(device_name: str) -> Backend:
    """The back end of `CUDA0`; UNKNOWN for a prefix that no record has."""
    return next((b for b in BACKENDS if b.prefix and device_name.startswith(b.prefix)), UNKNOWN)
