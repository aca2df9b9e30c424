"""What a person asks of the context: the part of llama-server's flags that decides caches and compute buffers."""

from dataclasses import dataclass
from typing import Literal

FlashAttention = Literal["on", "off", "auto"]

POOLINGS = ("none", "mean", "cls", "last", "rank")  # common/arg.cpp, --pooling; include/llama.h numbers them so
UNSET_SLOTS = 4  # common/arg.cpp: -np unset resolves to four slots and a unified cache


CELL_STEP = 256  # llama-context.cpp pads n_ctx up to a multiple of it


def pad256(n: int) -> int:
    """`n` cells as llama-context.cpp pads them."""
    return -(-n // CELL_STEP) * CELL_STEP


@dataclass(frozen=True)
class ContextParams:
    """As llama-server's flags; `None` is "not given" where the server resolves it itself."""

    n_ctx: int = 0  # tokens, -c; 0: the trained context
    type_k: str = "f16"
    type_v: str = "f16"
    n_parallel: int | None = None  # slots, -np
    kv_unified: bool | None = None  # -kvu / -no-kvu
    n_batch: int = 2048
    n_ubatch: int = 512
    flash_attn: FlashAttention = "auto"
    swa_full: bool = False
    offload_kqv: bool = True  # False: -nkvo
    op_offload: bool = True  # False: --no-op-offload
    spec_types: tuple[str, ...] = ()  # --spec-type
    expert_cache_mib: int = 0  # --moe-cache-mib: on devices, for experts in RAM; 0: none
    embeddings: bool = False  # --embedding, --rerank
    pooling: str | None = None  # --pooling: one of POOLINGS; None: the model's own
    n_draft: int | None = None  # draft length of --spec-type (--spec-draft-n-max)

    @property
    def all_rows(self) -> bool:
        """Whether every token of a batch gets an output (server-context.cpp, server_output_limits)."""
        return self.embeddings or self.pooling not in (None, "none")

    @property
    def slots(self) -> int:
        """n_seq_max: slots after llama-server's own defaults."""
        return self.n_parallel if self.n_parallel is not None and self.n_parallel > 0 else UNSET_SLOTS

    @property
    def unified(self) -> bool:
        """Whether all slots share one cache; -no-kvu without -np changes nothing."""
        if self.n_parallel is None or self.n_parallel <= 0:
            return True
        return bool(self.kv_unified)

    def cells(self, trained_context: int) -> int:
        """n_ctx as llama.cpp resolves and pads it, all slots together (llama-context.cpp, llama_context)."""
        n_ctx = pad256(self.n_ctx or trained_context)
        return n_ctx if self.unified else self.cells_per_slot(trained_context) * self.slots

    def cells_per_slot(self, trained_context: int) -> int:
        """n_ctx_seq: the most one slot can hold."""
        n_ctx = pad256(self.n_ctx or trained_context)
        return n_ctx if self.unified else pad256(n_ctx // self.slots)
