"""How a pair of cache types runs on a back end: with its own kernel, converted at each token, on the CPU, or unknown."""

from typing import Literal

Runs = Literal["fast", "converted", "cpu", "unknown"]

_FAST_HEADS = (64, 128, 256)  # ggml/src/ggml-cuda/fattn.cu: head sizes of the vector kernel
_DEFAULT_PAIRS = frozenset((t, t) for t in ("f16", "bf16", "q8_0", "q4_0"))  # compiled without GGML_CUDA_FA_QUANTS=all
_CUDA_TYPES = frozenset(("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"))
_FLOATS = frozenset(("f16",))
_MIXED_CUDA_BUILD = 11434  # PR #28079: the first build known here where K and V may differ on the GPU


def runs(backend: str, type_k: str, type_v: str, heads: frozenset[int], build: int = 11434, all_quants: bool = False) -> Runs:
    """`heads`: K head sizes of the model; `all_quants`: the build says FA_QUANTS = all."""
    if backend in ("", "CPU"):
        return "fast"
    if backend in ("CUDA", "ROCm"):
        return _cuda(type_k, type_v, heads, build, all_quants)
    if backend == "Vulkan":
        return "cpu" if (type_k == "bf16") != (type_v == "bf16") else "fast"
    if backend == "MTL":
        return "fast" if type_k == type_v else "cpu"
    if backend == "SYCL":
        known = {"f32", "f16", "bf16", "q8_0", "q4_0"}
        return "fast" if type_k == type_v and type_k in known else "unknown"
    return "unknown"


def _cuda(type_k: str, type_v: str, heads: frozenset[int], build: int, all_quants: bool) -> Runs:
    if not {type_k, type_v} <= _CUDA_TYPES:
        return "cpu"
    if build < _MIXED_CUDA_BUILD and (type_k != type_v or type_k in ("q4_1", "q5_0", "q5_1")):
        return "cpu"
    if type_k in _FLOATS and type_v in _FLOATS:
        return "fast"
    compiled = (type_k, type_v) in _DEFAULT_PAIRS or (all_quants and "f32" not in (type_k, type_v))
    return "fast" if compiled and heads <= set(_FAST_HEADS) else "converted"
