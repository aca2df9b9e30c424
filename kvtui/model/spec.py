"""What llama.cpp makes of a header: blocks, their attention and caches, and tensors by role. Frozen values only."""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal

from kvtui.base.findings import Finding
from kvtui.header.reader import Header
from kvtui.model.families import Family

# src/llama-arch.cpp, LLM_TENSOR_INFOS: which device list a tensor follows
TensorClass = Literal["input", "repeating", "output"]


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
    expert: bool = False  # one of a block's `_exps` tensors
    on_cuda: bool = True  # False: CUDA has no kernel for what reads it (scans.py)

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.dims)


@dataclass(frozen=True)
class Layer:
    """A block's shapes, as src/llama-hparams.cpp resolves them. Counts are values, not bytes."""

    index: int
    n_head: int
    n_head_kv: int
    head_k: int  # n_embd_head_k(il)
    head_v: int
    n_ff: int
    is_swa: bool
    is_recurrent: bool
    loaded: bool  # False: an MTP block that is not asked for
    has_cache: bool = False  # K/V in the main context
    state: int = 0  # f32 values of recurrent state a slot: n_embd_r + n_embd_s (+ the PLE history)
    index_k: int = 0  # values of an indexer key a cell
    index_v: int = 0
    is_sparse: bool = False  # reads only the cells an indexer picks
    compress_ratio: int = 0  # deepseek4: 4 or 128 tokens a compressed cell
    drafts: bool = False  # an MTP block that is loaded: its K/V are in the MTP context
    draft_index_k: int = 0  # values of an indexer key in the MTP context

    @property
    def n_embd_k_gqa(self) -> int:
        """Values of K a token (n_embd_k_gqa)."""
        return self.head_k * self.n_head_kv

    @property
    def n_embd_v_gqa(self) -> int:
        """Values of V a token (n_embd_v_gqa)."""
        return self.head_v * self.n_head_kv


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A model as llama.cpp b11434 would load it. `n_layer_all` counts MTP blocks, `n_layer` does not. Equal to itself alone:
    a thousand tensors are not compared at each look into a cache."""

    architecture: str
    name: str
    family: Family
    known: bool  # the architecture has a record in families.py
    n_layer_all: int
    n_layer: int
    n_ctx_train: int
    n_embd: int
    n_vocab: int
    n_expert: int
    n_expert_used: int
    is_mla: bool
    n_swa: int  # 0: no sliding window
    top_k: int  # cells a sparse block picks at each token
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    tied_output: bool  # no output.weight: token_embd is held once more where the output runs
    mtp: bool  # MTP blocks are loaded
    is_causal: bool  # attention.causal: the batch is at most the context
    header: Header = field(repr=False)
    refusal: Finding | None = None  # why llama.cpp would not load it

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(t.n_bytes for t in self.tensors)

    @cached_property
    def n_embd_v_gqa_max(self) -> int:
        """The largest V row of any block (llama-hparams.cpp, n_embd_v_gqa_max)."""
        return max((x.n_embd_v_gqa for x in self.layers), default=0)

    @cached_property
    def recurrent(self) -> bool:
        """Whether any block keeps recurrent state."""
        return any(x.state for x in self.layers)
