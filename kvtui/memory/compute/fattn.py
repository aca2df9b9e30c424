"""Flash attention on CUDA: what its kernels need beside their output.

ggml/src/ggml-cuda/fattn.cu, ggml_cuda_get_best_fattn_kernel and ggml_cuda_flash_attn_ext_get_alloc_size."""

from kvtui.memory.compute.graph import Attention

_F16 = 2
_ALIGNMENT = 128  # fattn-common.cuh, ggml_cuda_flash_attn_ext_get_f16_extra_data
_EQUAL_HEADS = frozenset((40, 64, 72, 80, 96, 112, 128, 256))
# heads of K: (heads of V, or 0 for as many; what the GQA ratio is a multiple of)
_GROUPED = {192: (128, 8), 320: (256, 32), 512: (512, 2), 576: (512, 2)}
# ggml_cuda_fattn_kv_type_supported
_TYPES = frozenset(("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"))
_STRIDE = 256  # FATTN_KQ_STRIDE
_VECTOR_TOKENS = 2  # the vector kernel reads quantised K and V as they are, for so few tokens


def supported(a: Attention) -> bool:
    """Whether CUDA has a kernel."""
    if a.type_k not in _TYPES or a.type_v not in _TYPES:
        return False
    if a.head_k in _EQUAL_HEADS:
        return a.head_v == a.head_k
    if a.head_k not in _GROUPED:
        return False
    head_v, multiple = _GROUPED[a.head_k]
    ratio = a.n_head // a.n_head_kv
    return a.head_v == head_v and ratio >= 2 and ratio % multiple == 0 and a.cells % _STRIDE == 0


def attention_extra(a: Attention, output_bytes: int, only_k: bool = False) -> int:
    """Bytes beside the output: K and V as f16 where the kernel cannot read their type. `only_k`: K's alone."""
    if a.tokens <= 1 and a.head_k <= _STRIDE and a.head_k % 64 == 0:
        return 0
    end = output_bytes
    if a.type_k != "f16":
        end = _pad(end) + a.k_values * _F16
    if a.type_v != "f16" and not a.v_in_k and not only_k:
        end = _pad(end) + a.v_values * _F16
    return end - output_bytes


def _pad(n: int) -> int:
    return -(-n // _ALIGNMENT) * _ALIGNMENT
