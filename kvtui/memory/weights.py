"""Weight bytes on every device and in RAM (src/llama-model-loader.cpp and src/llama-model.cpp, load_tensors)."""

from dataclasses import dataclass
from functools import lru_cache

from kvtui.hardware.backends import Backend, backend_of
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment
from kvtui.model.spec import ModelSpec, Tensor

EMBEDDING = "token_embd.weight"  # a tied output is created from it once more
_FLOATS = frozenset(("f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64"))
# ggml/src/ggml-cpu/repack.cpp, ggml_repack_get_optimal_repack_type on x86-64 with AVX2: types repacked when the rows
# are a multiple of 8
_REPACKED = frozenset(("q4_0", "q4_k", "q2_k", "iq4_nl", "mxfp4"))


@dataclass(frozen=True)
class WeightBytes:
    """Bytes: `devices` in the machine's order; `host` with the RAM copy of a tied output."""

    devices: tuple[int, ...]
    host: int


def padded_bytes(tensor: Tensor, backend: Backend) -> int:
    """Bytes a tensor takes in a buffer: aligned, and with CUDA's row padding (ggml_backend_cuda_buffer_type_get_alloc_size)."""
    size, padding = tensor.n_bytes, backend.row_padding_values
    if padding and tensor.type_name not in _FLOATS and tensor.dims and tensor.dims[0] % padding:
        rows = tensor.elements // tensor.dims[0]
        size += size // rows * (padding - tensor.dims[0] % padding) // tensor.dims[0]
    return -(-size // backend.alignment_bytes) * backend.alignment_bytes


@lru_cache(maxsize=64)
def weights(model: ModelSpec, assignment: Assignment, machine: Machine) -> WeightBytes:
    """Where the weights of `model` are under `assignment`."""
    backends = [backend_of(d.name) for d in machine.devices]
    taken = [0] * len(backends)
    host = 0
    for tensor, place in zip(model.tensors, assignment.tensor_devices, strict=True):
        if not tensor.loaded:
            continue
        if place == CPU:
            host += tensor.n_bytes
        else:
            taken[place] += padded_bytes(tensor, backends[place])
    if model.tied_output:
        embedding = next(t for t in model.tensors if t.name == EMBEDDING)
        here = assignment.tensor_devices[embedding.index]
        # an override that matches token_embd moves both copies to one buffer, where they are one unless the CPU repacks
        there = assignment.layer_devices[-1] if assignment.tied_output is None else assignment.tied_output
        if there != here and here == CPU:
            taken[there] += padded_bytes(embedding, backends[there])
        elif there == CPU and here == CPU and assignment.repack and repacks(embedding):
            host += embedding.n_bytes
    return WeightBytes(tuple(taken), host)


def repacks(tensor: Tensor) -> bool:
    """Whether the CPU back end keeps a matrix repacked: apart from the plain copy that rows are looked up in."""
    return tensor.type_name in _REPACKED and len(tensor.dims) > 1 and tensor.dims[1] % 8 == 0
