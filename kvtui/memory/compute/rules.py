"""What tells the back ends apart in a graph's memory, a record each (ggml/src/ggml-NAME of b11434)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """`refuses`: leaves operations that it has no kernel for to the CPU (supports_op; support.py has CUDA's); `stages`: takes
    operations on weights in RAM for large batches (offload_op); `fuses`: rearranges its part of a graph
    so that experts' outputs live until they are summed, and lets attention keep f16 copies of K and V beside its output
    (ggml_backend_cuda_graph_optimize, ggml_cuda_flash_attn_ext_get_alloc_size); `said`: what the figures of a `build` rest on;
    `alignment`: bytes that a buffer's tensors are aligned to (get_alignment)."""

    refuses: bool
    stages: bool
    fuses: bool
    said: str
    alignment: int = 128  # ggml-cuda.cu


_MEASURED = "derived from the graph that {build} allocates"
_BORROWED = _MEASURED + ", by the rules of CUDA, not measured on this back end"

_LENT_CPU = 32  # ggml-impl.h, TENSOR_ALIGNMENT: what an RPC server answers that lends its CPU

RULES = {
    "CUDA": Rules(refuses=True, stages=True, fuses=True, said=_MEASURED),
    "ROCm": Rules(refuses=True, stages=True, fuses=True, said=_BORROWED),
    "MUSA": Rules(refuses=True, stages=True, fuses=True, said=_BORROWED),
    "Vulkan": Rules(refuses=True, stages=True, fuses=False, said=_BORROWED),  # ggml_backend_vk_device_offload_op
    "SYCL": Rules(refuses=True, stages=True, fuses=False, said=_BORROWED),  # ggml_backend_sycl_device_offload_op
    "MTL": Rules(refuses=True, stages=True, fuses=False, said=_BORROWED),  # ggml_backend_metal_device_offload_op: products alone
    # ggml-rpc.cpp: no offload_op, all ops
    "RPC": Rules(refuses=False, stages=False, fuses=False, said=_MEASURED, alignment=_LENT_CPU),
}
