"""Tensors by role: where llama.cpp puts them, and how much of each is read at every token."""

import re
from collections.abc import Sequence

from kvtui.model.families import Family
from kvtui.model.keys import Keys
from kvtui.model.scans import read_on_cuda
from kvtui.model.spec import Tensor, TensorClass

_BLOCK = re.compile(r"^(?:(?:enc|dec)\.)?(?:blk|convnext|posnet)\.(\d{1,9})\.")
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
    "nextn.pre_projection",
    "hrm.z_l_init",
    "conv1d",
)
# LLM_TENSOR_INFOS: GGML_OP_NONE, never loaded
_UNUSED = re.compile(r"^masked_embd_(centroids|ordering)|\.cross_attn_rel_b\.")
# created without TENSOR_SKIP where a record says mtp_head_kept
_MTP_HEAD = re.compile(r"\.nextn\.(embed_tokens|shared_head_head|shared_head_norm)\.")


def block_of(name: str) -> int | None:
    """N of `blk.N.`; None for a tensor of no block."""
    match = _BLOCK.match(name)
    return int(match[1]) if match else None


def _kind(name: str, block: int | None, family: Family) -> TensorClass:
    if family.norm_named_embd and name == "token_embd_norm.weight":
        return "output"
    if block is not None or name in _FIRST_BLOCK or name.rpartition(".")[0] in _FIRST_BLOCK:
        return "repeating"
    return "input" if name in _INPUT else "output"


def classify(keys: Keys, family: Family, n_layer: int, n_expert: int, used: Sequence[int], mtp: bool) -> tuple[Tensor, ...]:
    """All tensors of the file, in its order. `used`: experts a token takes, one for each block of the file; `mtp`: MTP
    blocks are loaded. A tensor of a block that the model lacks (loading.py refuses it) has no block and is not loaded."""

    def share(block: int | None) -> float:
        experts = used[block] if block is not None and block < len(used) else 0
        return experts / n_expert if n_expert and experts else 1.0

    def loaded(name: str, block: int | None) -> bool:
        if block is not None and block >= len(used):
            return False
        if block is None or block < n_layer or mtp:
            return not _UNUSED.search(name)
        return family.mtp_head_kept and bool(_MTP_HEAD.search(name))

    tensors = []
    for i, info in enumerate(keys.header.tensors):
        block = block_of(info.name)
        astray = block is not None and block >= len(used)
        expert = "_exps." in info.name or "_chexps." in info.name
        tensors.append(
            Tensor(
                index=i,
                name=info.name,
                dims=info.dims,
                type_name=info.type_name,
                n_bytes=info.n_bytes,
                block=None if astray else block,
                kind="input" if astray else _kind(info.name, block, family),  # RAM: no device is its block's
                loaded=loaded(info.name, block),
                looked_up=info.name in _INPUT,
                active=share(block) if expert else 1.0,
                expert=expert,
                on_cuda=read_on_cuda(keys, info.name, info.dims),
            )
        )
    return tuple(tensors)
