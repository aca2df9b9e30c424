"""What llama.cpp makes of a header: blocks, their attention and caches, and tensors by role."""

from dataclasses import dataclass, field
from typing import Literal

from kvtui.header.reader import Header

TensorClass = Literal["input", "repeating", "output"]  # llama-arch.cpp, llm_tensor_info: which device list a tensor follows


@dataclass(frozen=True)
class Tensor:
    """A weight. `block` is N of `blk.N.`; `loaded` is False for MTP blocks that are not asked for."""

    index: int  # position in ModelSpec.tensors
    name: str
    dims: tuple[int, ...]
    type_name: str
    n_bytes: int
    block: int | None
    kind: TensorClass
    loaded: bool
    looked_up: bool  # only rows are read at each token: embeddings
    active: float  # share of the bytes read at each token: expert_used_count / expert_count for *_exps


@dataclass(frozen=True)
class Layer:
    """A block's shapes, as llama-hparams.cpp resolves them."""

    index: int
    n_head: int
    n_head_kv: int
    head_k: int  # n_embd_head_k(il)
    head_v: int
    n_ff: int
    is_swa: bool
    is_recurrent: bool
    loaded: bool  # False: an MTP block that is not asked for

    @property
    def n_embd_k_gqa(self) -> int:
        """Values of K a token (llama-hparams.cpp, n_embd_k_gqa)."""
        return self.head_k * self.n_head_kv

    @property
    def n_embd_v_gqa(self) -> int:
        """Values of V a token."""
        return self.head_v * self.n_head_kv


@dataclass(frozen=True)
class ModelSpec:
    """A model as llama.cpp b11434 would load it."""

    architecture: str
    name: str
    n_layer_all: int  # block_count, MTP blocks too
    n_layer: int  # without MTP blocks
    n_ctx_train: int
    n_embd: int
    n_vocab: int
    n_expert: int
    n_expert_used: int
    is_mla: bool
    n_swa: int
    layers: tuple[Layer, ...]  # n_layer_all of them
    tensors: tuple[Tensor, ...]
    tied_output: bool  # no output.weight: token_embd is held once more where the output runs
    known: bool  # the architecture has a record in families.py
    header: Header = field(repr=False, compare=False)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(t.n_bytes for t in self.tensors)
