"""Which kernel CUDA and ROCm choose (ggml-cuda/fattn.cu, ggml_cuda_get_best_fattn_kernel), read in b11434."""

from typing import Literal

from kvtui.cache.kernels.attention import FLOATS, KQ_STRIDE, NO_KERNEL, UNKNOWN_KERNEL, Attention, Batch, Card, Choice, Kernel

# what a card multiplies matrices with (ggml-cuda/common.cuh: turing_mma_available, volta_mma_available, ...)
Units = Literal["turing", "volta", "mfma", "wmma", "none"]

ASSUMED_CAPABILITY = {"CUDA": 86, "ROCm": 0x1100}  # RTX 30: Turing and later choose alike but for float pairs; RX 7000

# (K head, V head): what GQA must be a multiple of; 0: nothing is asked of GQA
_HEADS = {(n, n): 0 for n in (40, 64, 72, 80, 96, 112, 128, 256)} | {
    (192, 128): 8,
    (320, 256): 32,
    (512, 512): 1,
    (576, 512): 1,
}
_TYPES = frozenset(("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"))  # ggml_cuda_fattn_kv_type_supported
_VECTOR_HEADS = frozenset((64, 128, 256))
_ODD_HEADS = frozenset((40, 72))  # no tensor-core kernel has them
_MOST_COLUMNS = {320: 32, 576: 16, 192: 16}  # ncols2_max by head
_USUAL_COLUMNS = 8  # elsewhere
_VOLTA_VECTOR, _VOLTA_TILE = 2, 16  # columns (tokens x shared heads) up to which Volta takes these kernels
_LARGE_HEAD, _MUCH_GQA = 256, 4  # a head from here on, GQA beyond here
_LONG_CELLS = 8192  # from here on, heads shared by more than four queries leave the vector kernel on Ada and later
_VOLTA, _TURING, _ADA = 70, 75, 89
_GCN_APUS = frozenset((0x909, 0x90C))
_CDNA1, _RDNA1, _RDNA3 = 0x908, 0x1010, 0x1100

# MFMA: the largest head of a row, and the columns (tokens x shared heads) above which the tensor cores win
_MFMA_COLUMNS = ((64, 8), (128, 16), (256, 64))
_MFMA_COLUMNS_LARGE = 128
# WMMA: the same, with GQA only
_WMMA_COLUMNS = ((128, 8), (256, 16))

# Builds, by their own fattn.cu. Up to the first, K and V had to be equal and q4_1, q5_0, q5_1 needed all quants; from
# the second on, every pair is taken (GGML_CUDA_FA_QUANTS); between them it is not known which build changed.
LAST_EQUAL_ONLY = 10865
FIRST_ANY_PAIR = 10901
_LAST_VECTOR_AT_256 = 10941  # up to here a head of 256 with much GQA left the vector kernel only with long caches
_EXTRA_QUANTS = frozenset(("q4_1", "q5_0", "q5_1"))


def choose(card: Card, attention: Attention, batch: Batch) -> Choice:
    """The kernel for a batch, and whether it reads f16 copies (ggml_cuda_flash_attn_ext_get_alloc_size)."""
    kernel = _kernel(card, attention, batch)
    if kernel in ("none", "unknown"):
        return NO_KERNEL if kernel == "none" else UNKNOWN_KERNEL
    type_k, type_v = attention.op_type_k, attention.op_type_v
    if kernel == "vec" and card.compiled(type_k, type_v):
        return Choice(kernel)
    return Choice(kernel, copies_k=type_k != "f16", copies_v=type_v != "f16")


def units(card: Card) -> Units:
    """The matrix units of a card, by the capability it has or is assumed to have."""
    number = card.capability if card.capability is not None else ASSUMED_CAPABILITY[card.backend]
    if card.backend == "CUDA":
        return "turing" if number >= _TURING else "volta" if number >= _VOLTA else "none"
    if number >= _RDNA3:
        return "wmma"
    return "mfma" if _CDNA1 <= number < _RDNA1 and number not in _GCN_APUS else "none"


def _kernel(card: Card, attention: Attention, batch: Batch) -> Kernel:
    types = (attention.op_type_k, attention.op_type_v)
    multiple = _HEADS.get((attention.head_k, attention.head_v))
    grouped = attention.gqa_ratio >= 2 and attention.mask and not attention.alibi and batch.n_cells % KQ_STRIDE == 0
    if multiple is None or (multiple and (not grouped or attention.gqa_ratio % multiple)):
        return "none"
    if not _TYPES.issuperset(types):
        return "none"
    if card.build < FIRST_ANY_PAIR and _needs_new_build(card, *types):
        return "none" if card.build <= LAST_EQUAL_ONLY else "unknown"
    vector = attention.head_k in _VECTOR_HEADS and batch.n_cells % KQ_STRIDE == 0
    floats = FLOATS.issuperset(types)
    found = units(card)
    if found == "turing" and attention.head_k not in _ODD_HEADS:
        return _turing(card, attention, batch, vector=vector, floats=floats, grouped=grouped)
    columns = batch.n_tokens * _shared_heads(attention)
    if found == "volta" and attention.head_k not in _ODD_HEADS:
        return "vec" if vector and columns <= _VOLTA_VECTOR else "tile" if columns <= _VOLTA_TILE else "mma"
    if attention.head_k not in _ODD_HEADS and _amd_mma(found, attention.head_k, columns, grouped=grouped):
        return "mma"
    if vector and (batch.n_tokens == 1 and not grouped if floats else batch.n_tokens <= 2):
        return "vec"
    return "tile"


def _needs_new_build(card: Card, type_k: str, type_v: str) -> bool:
    pairs = card.fa_quants or ()
    return "all" not in pairs and (type_k != type_v or type_k in _EXTRA_QUANTS)


def _turing(card: Card, attention: Attention, batch: Batch, *, vector: bool, floats: bool, grouped: bool) -> Kernel:
    """Turing's tensor cores and all later ones of NVIDIA."""
    if not vector:
        return "mma"
    one = batch.n_tokens == 1
    ada = (card.capability if card.capability is not None else ASSUMED_CAPABILITY["CUDA"]) >= _ADA
    if not floats:
        small = batch.n_tokens <= (2 if ada else 1)
    else:
        large = attention.head_k >= _LARGE_HEAD and card.build > _LAST_VECTOR_AT_256
        crowded = attention.gqa_ratio > _MUCH_GQA and (large or batch.n_cells >= _LONG_CELLS)
        small = ada and one and batch.n_streams == 1 and not crowded
    return "vec" if small or (one and not grouped) else "mma"


def _shared_heads(attention: Attention) -> int:
    """gqa_ratio_eff: the largest power of two that divides GQA, as far as a kernel has columns for it."""
    if attention.alibi:
        return 1
    most = _MOST_COLUMNS.get(attention.head_k, _USUAL_COLUMNS)
    return min(attention.gqa_ratio & -attention.gqa_ratio, most)


def _amd_mma(found: Units, head: int, columns: int, *, grouped: bool) -> bool:
    if found == "mfma":
        if head > _MFMA_COLUMNS[-1][0]:
            return grouped and columns > _MFMA_COLUMNS_LARGE
        return any(head <= largest and columns > least for largest, least in _MFMA_COLUMNS)
    if found == "wmma" and grouped:
        least = next((least for largest, least in _WMMA_COLUMNS if head <= largest), None)
        return least is not None and columns > least
    return False
