"""What is larger than one buffer of a device may be (Vulkan's maxBufferSize, 2 or 4 GiB on many drivers).

ggml-backend.cpp, ggml_backend_buft_alloc_buffer_n_plan, cuts what is allocated together into buffers of up to
ggml_backend_buft_get_max_size (1 GiB on Vulkan), so only a single tensor can be too large:
- a weight: ggml-vulkan.cpp, ggml_backend_vk_device_supports_op, declines operations on it, and llama-model-loader.cpp,
  select_weight_buft, takes the next buffer type, RAM. An override is not asked: the allocation fails;
- K or V of a block: ggml-vulkan-buffers.cpp, ggml_vk_create_buffer, throws, and llama-kv-cache.cpp ends the load;
- what is computed: see large_work.py."""

from collections.abc import Sequence

from kvtui.base.findings import Finding
from kvtui.base.sizes import mib
from kvtui.cache.layout import CacheLayout
from kvtui.flags.context import CELL_STEP
from kvtui.hardware.device import CPU, Device
from kvtui.memory.assignment import Assignment, default_place
from kvtui.model.spec import ModelSpec, Tensor

ONE_BUFFER = "one-buffer"


def smallest_limit(devices: Sequence[Device]) -> int | None:
    """The smallest of the devices' largest buffers; None where none has a limit."""
    return min((d.max_buffer_bytes for d in devices if d.max_buffer_bytes is not None), default=None)


def beyond_one_buffer(n_bytes: int, place: int, devices: Sequence[Device]) -> bool:
    """Whether one tensor is more than `place` can allocate at once."""
    limit = None if place == CPU else devices[place].max_buffer_bytes
    return limit is not None and n_bytes > limit


def one_buffer_findings(
    model: ModelSpec, layout: CacheLayout, assignment: Assignment, devices: Sequence[Device], *, offload_kqv: bool = True
) -> tuple[Finding, ...]:
    """Errors for tensors that cannot be allocated where they are meant to be, a warning for weights that stay in RAM."""
    limit = smallest_limit(devices)
    if limit is None:
        return ()
    found = []
    placed = list(zip(model.tensors, assignment.tensor_devices, strict=True))
    refused = [(t, place) for t, place in placed if t.loaded and beyond_one_buffer(t.n_bytes, place, devices)]
    if refused:
        tensor, place = max(refused, key=lambda x: x[0].n_bytes)
        text = f"{tensor.name} ({mib(tensor.n_bytes)}) is larger than {limit_of(devices[place])}: it cannot be kept there"
        found.append(Finding(ONE_BUFFER, "error", text))
    moved = [t for t, place in placed if t.loaded and place == CPU and _belongs_on(t, assignment, limit, devices)]
    if moved:
        largest = max(t.n_bytes for t in moved)
        count = f"{len(moved)} tensors of up to {mib(largest)} are" if len(moved) > 1 else f"{moved[0].name} ({mib(largest)}) is"
        names = ", ".join(limit_of(d) for d in devices if d.max_buffer_bytes == limit)
        found.append(Finding(ONE_BUFFER, "warning", f"{count} larger than {names}: llama-server keeps such weights in RAM"))
    cache = _largest_cache(layout, assignment, devices) if offload_kqv else None
    if cache is not None:
        block, part, n_bytes, device = cache
        most = layout.cells * (device.max_buffer_bytes or 0) // n_bytes // CELL_STEP * CELL_STEP
        text = f"{part} of block {block} is one tensor of {mib(n_bytes)}, larger than {limit_of(device)}"
        found.append(Finding(ONE_BUFFER, "error", f"{text}: a smaller type, or up to {most:,} cells in all, stays below it"))
    return tuple(found)


def limit_of(device: Device) -> str:
    """In words: the device's largest buffer and its size."""
    return f"{device.name}'s largest buffer ({mib(device.max_buffer_bytes or 0)})"


def _belongs_on(tensor: Tensor, assignment: Assignment, limit: int, devices: Sequence[Device]) -> bool:
    return tensor.n_bytes > limit and default_place(tensor, assignment.layer_devices, devices) != CPU


def _largest_cache(layout: CacheLayout, assignment: Assignment, devices: Sequence[Device]) -> tuple[int, str, int, Device] | None:
    """(block, which cache, bytes, device) of the one that is most beyond its device's largest buffer."""
    found = []
    for block, (home, layer) in enumerate(zip(assignment.layer_devices, layout.layers, strict=False)):
        for part, n_bytes in (("K", layer.k_bytes), ("V", layer.v_bytes)):
            if beyond_one_buffer(n_bytes, home, devices):
                found.append((n_bytes - (devices[home].max_buffer_bytes or 0), block, part, n_bytes, devices[home]))
    if not found:
        return None
    _, block, part, n_bytes, device = max(found, key=lambda x: x[0])
    return block, part, n_bytes, device
