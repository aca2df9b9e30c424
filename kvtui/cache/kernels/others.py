"""Kernels of the back ends beside CUDA and ROCm, read in b11434 and not measured."""

from kvtui.cache.kernels.attention import KQ_STRIDE, NO_KERNEL, Attention, Batch, Card, Choice

_QUANTS = frozenset(("q8_0", "q5_1", "q5_0", "q4_1", "q4_0"))

# Metal (ggml-metal-device.m, ggml_metal_device_supports_op); every Apple chip since M1 has the matrix units asked for
_METAL_HEADS = frozenset((32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576))
_METAL_TYPES = _QUANTS | {"f16", "bf16"}  # bf16 where the chip has it: assumed
_METAL_EQUAL_HEADS = frozenset((72,))

# SYCL (ggml-sycl/fattn.cpp, ggml_sycl_get_best_fattn_kernel)
_SYCL_HEADS = {(n, n): False for n in (40, 64, 72, 80, 96, 112, 128, 256, 512)} | {(576, 512): True}  # True: needs GQA
_SYCL_TYPES = frozenset(("f16", "bf16", "q8_0", "q4_0"))  # without GGML_SYCL_FA_ALL_QUANTS
_SYCL_VECTOR_TOKENS = 2
_SYCL_VECTOR_HEAD, _SYCL_VECTOR_MULTIPLE = 512, 64  # can_use_vector_kernel: the largest head, and what divides it

# Vulkan (ggml-vulkan.cpp, ggml_backend_vk_device_supports_op, ggml_vk_flash_attn)
_VULKAN_TYPES = _QUANTS | {"f16", "bf16", "iq4_nl"}
_VULKAN_HEAD_MULTIPLE = 8
_VULKAN_COPY_TOKENS = 64  # quantised K and V become f16 once from here on, in a scratch beside the compute buffer


def cpu(_card: Card, _attention: Attention, _batch: Batch) -> Choice:
    """The processor takes every type and head (ggml-cpu.cpp, ggml_backend_cpu_device_supports_op)."""
    return Choice("own")


def metal(_card: Card, attention: Attention, _batch: Batch) -> Choice:
    """Metal reads every type it has in place."""
    head_k, head_v = attention.head_k, attention.head_v
    if head_k not in _METAL_HEADS or head_k < head_v or (head_k in _METAL_EQUAL_HEADS and head_k != head_v):
        return NO_KERNEL
    type_k = attention.op_type_k
    return Choice("own") if type_k == attention.op_type_v and type_k in _METAL_TYPES else NO_KERNEL


def vulkan(_card: Card, attention: Attention, batch: Batch) -> Choice:
    """Vulkan; its copies of prompts are left out by cards with NVIDIA's second matrix extension."""
    types = {attention.op_type_k, attention.op_type_v}
    if (attention.head_k | attention.head_v) % _VULKAN_HEAD_MULTIPLE or not types <= _VULKAN_TYPES:
        return NO_KERNEL
    if "bf16" in types and len(types) > 1:
        return NO_KERNEL
    both = types.isdisjoint(("f16", "bf16")) and batch.n_tokens >= _VULKAN_COPY_TOKENS
    return Choice("own", copies_k=both, copies_v=both)


def sycl(_card: Card, attention: Attention, batch: Batch) -> Choice:
    """SYCL without all quants; on cards before Battlemage few tokens of quantised K and V have a kernel."""
    needs_gqa = _SYCL_HEADS.get((attention.head_k, attention.head_v))
    grouped = attention.gqa_ratio >= 2 and attention.mask and not attention.alibi and batch.n_cells % KQ_STRIDE == 0
    if needs_gqa is None or (needs_gqa and not grouped):
        return NO_KERNEL
    head_k, type_k = attention.head_k, attention.op_type_k
    if type_k != attention.op_type_v or type_k not in _SYCL_TYPES:
        return NO_KERNEL
    vector = head_k <= _SYCL_VECTOR_HEAD and head_k % _SYCL_VECTOR_MULTIPLE == 0 and batch.n_cells % KQ_STRIDE == 0
    few = batch.n_tokens == 1 and not grouped if type_k == "f16" else batch.n_tokens <= _SYCL_VECTOR_TOKENS
    if vector and few and type_k != "bf16":
        return Choice("vec")
    return Choice("tile", copies_k=type_k != "f16", copies_v=type_k != "f16")
