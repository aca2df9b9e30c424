"""Tensors by role: where llama.cpp puts them, and how much of each is read at every token."""

import re

from kvtui.header.reader import Header
from kvtui.model.spec import Tensor, TensorClass

_BLOCK = re.compile(r"^blk\.(\d+)\.")
# src/llama-arch.cpp, LLM_TENSOR_INFOS: LLM_TENSOR_LAYER_INPUT
_INPUT = ("token_embd.weight", "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight")
# LLM_TENSOR_LAYER_REPEATING without a block in their name: they follow the first block
_FIRST_BLOCK = (
    "token_embd_norm",
    "rope_freqs",
    "rope_factors_long",
    "rope_factors_short",
    "per_layer_model_proj",
    "per_layer_proj_norm",
)
# LLM_TENSOR_INFOS: GGML_OP_NONE, never loaded
_UNUSED = ("masked_embd_centroids", "masked_embd_ordering")


def _kind(name: str, block: int | None) -> TensorClass:
    if block is not None or name.rpartition(".")[0] in _FIRST_BLOCK:
        return "repeating"
    return "input" if name in _INPUT else "output"


def classify(header: Header, n_layer: int, n_expert: int, n_used: int, mtp: bool) -> tuple[Tensor, ...]:
    """All tensors of the file, in its order; those of MTP blocks are loaded only if `mtp`."""
    share = n_used / n_expert if n_expert else 1.0
    tensors = []
    for i, info in enumerate(header.tensors):
        match = _BLOCK.match(info.name)
        block = int(match[1]) if match else None
        expert = "_exps." in info.name or "_chexps." in info.name
        tensors.append(
            Tensor(
                index=i,
                name=info.name,
                dims=info.dims,
                type_name=info.type_name,
                n_bytes=info.n_bytes,
                block=block,
                kind=_kind(info.name, block),
                loaded=(block is None or block < n_layer or mtp) and not info.name.startswith(_UNUSED),
                looked_up=info.name in _INPUT,
                active=share if expert else 1.0,
                expert=expert,
            )
        )
    return tuple(tensors)
