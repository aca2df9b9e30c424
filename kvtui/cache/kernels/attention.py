"""What decides the kernel of an attention operation, and what was decided."""

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["vec", "mma", "tile", "own", "none", "unknown"]
Runs = Literal["fast", "converted", "cpu", "unknown"]
Flash = Literal["on", "off", "auto"]

NEWEST_BUILD = 11434  # the build whose source the rules were read in
FLOATS = frozenset(("f32", "f16", "bf16"))  # not ggml_is_quantized
DEFAULT_FA_QUANTS = ("q4_0-q4_0", "q8_0-q8_0", "f16-f16", "bf16-bf16")  # ggml/CMakeLists.txt, GGML_CUDA_FA_QUANTS


@dataclass(frozen=True)
class Attention:
    """One block's attention with its cache: head sizes in values, K and V types by llama-server's names."""

    head_k: int  # values a head of K and Q (MLA: rank + rope, 576)
    head_v: int
    n_head: int
    n_head_kv: int  # heads of the cache (MLA: 1)
    type_k: str = "f16"
    type_v: str = "f16"
    v_in_k: bool = False  # MLA: V is a view of K, as llama_kv_cache holds it
    alibi: bool = False  # f_max_alibi_bias > 0
    sinks: bool = False  # gpt-oss: decides nothing on CUDA
    mask: bool = True  # always there with a cache

    @property
    def gqa_ratio(self) -> int:
        """Query heads a head of K."""
        return self.n_head // self.n_head_kv

    @property
    def op_type_k(self) -> str:
        """K's type as the operation sees it: f32 was cast (llama-graph.cpp, build_attn_mha)."""
        return "f16" if self.type_k == "f32" else self.type_k

    @property
    def op_type_v(self) -> str:
        """V's type as the operation sees it; with MLA it is K's."""
        given = self.type_k if self.v_in_k else self.type_v
        return "f16" if given == "f32" else given

    @property
    def casts(self) -> bool:
        """Whether the graph casts f32 K or V to f16 at each evaluation, on every back end."""
        return "f32" in (self.type_k, self.type_k if self.v_in_k else self.type_v)


@dataclass(frozen=True)
class Card:
    """A device and the binary that drives it."""

    backend: str  # CUDA, ROCm, Vulkan, MTL, SYCL, RPC; "" or "CPU" is the processor
    # CUDA: 86 for 8.6; ROCm: the gfx number in hexadecimal, 0x1100 for gfx1100; None: unknown
    capability: int | None = None
    fa_quants: tuple[str, ...] | None = None  # as the binary says: ("all",), ("q8_0-q8_0", ...); None: the default set
    build: int = NEWEST_BUILD

    def compiled(self, type_k: str, type_v: str) -> bool:
        """Whether the binary has this pair's vector kernel; f16-f16 is in every one (ggml-cuda/fattn.cu)."""
        pairs = DEFAULT_FA_QUANTS if self.fa_quants is None else self.fa_quants
        return "all" in pairs or type_k == type_v == "f16" or f"{type_k}-{type_v}" in pairs


KQ_STRIDE = 256  # FATTN_KQ_STRIDE (ggml-cuda/fattn-common.cuh; ggml-sycl has the same): cells


@dataclass(frozen=True)
class Batch:
    """Tokens of each stream, streams side by side, and cells of one stream that the operation reads."""

    n_tokens: int
    n_cells: int  # padded to 256 by the cache
    n_streams: int = 1


@dataclass(frozen=True)
class Choice:
    """The kernel for one batch; `copies_k`, `copies_v`: it works on an f16 copy made at each call."""

    kernel: Kernel
    copies_k: bool = False
    copies_v: bool = False

    @property
    def copies(self) -> bool:
        """Whether anything is copied."""
        return self.copies_k or self.copies_v


NO_KERNEL = Choice("none")
UNKNOWN_KERNEL = Choice("unknown")
