"""How attention with a pair of cache types runs: the kernels of a decoded token and of a full batch, and what follows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kvtui.base.sizes import F16_BYTES, F32_BYTES
from kvtui.cache.kernels import cuda, others
from kvtui.cache.kernels.attention import (
    FLOATS,
    NEWEST_BUILD,
    UNKNOWN_KERNEL,
    Attention,
    Batch,
    Card,
    Choice,
    Flash,
    Runs,
)

_BACKENDS: dict[str, Callable[[Card, Attention, Batch], Choice]] = {
    "": others.cpu,
    "CPU": others.cpu,
    "CUDA": cuda.choose,
    "ROCm": cuda.choose,
    "MTL": others.metal,
    "SYCL": others.sycl,
    "Vulkan": others.vulkan,
}
_HOST = ("", "CPU")
_COPY_ALIGNMENT = 128  # bytes: fattn-common.cuh, ggml_cuda_flash_attn_ext_get_f16_extra_data
_COPIES_FROM_POOL = 9388  # the last build known where copies were no part of the compute buffer
_WORST = ("cpu", "unknown", "converted", "fast")


@dataclass(frozen=True)
class Running:
    """`decode`: one token; `prompt`: a whole n_ubatch. `flash`: whether flash attention is on in the end."""

    runs: Runs
    flash: bool
    decode: Choice
    prompt: Choice
    because: str
    assumed: str = ""  # what was not known of the card


def choose(card: Card, attention: Attention, batch: Batch) -> Choice:
    """The kernel of a back end for one batch; "unknown" where the back end's rules are not known (RPC)."""
    rule = _BACKENDS.get(card.backend)
    return rule(card, attention, batch) if rule is not None else UNKNOWN_KERNEL


def running(
    card: Card,
    attention: Attention,
    n_cells: int,
    *,
    flash: Flash = "auto",
    n_ubatch: int = 512,
    n_streams: int = 1,
) -> Running:
    """`n_cells`: cells of one stream; `n_ubatch`: tokens of all streams together; one sequence decodes at a time."""
    decode = choose(card, attention, Batch(1, n_cells))
    prompt = choose(card, attention, Batch(max(1, n_ubatch // n_streams), n_cells, n_streams))
    runs, on, because = _said(card, attention, decode, flash)
    return Running(runs, on, decode, prompt, because, _assumed(card))


def worst(found: Iterable[Running]) -> Running:
    """What decides where blocks or devices differ; without any, nothing is unknown: no attention."""
    return min(
        found,
        key=lambda r: _WORST.index(r.runs),
        default=Running("fast", flash=False, decode=UNKNOWN_KERNEL, prompt=UNKNOWN_KERNEL, because="no attention here"),
    )


def f16_copy_bytes(card: Card, attention: Attention, batch: Batch) -> int:
    """What the attention operation takes beside its output, in bytes: its f16 copies of K and V for this batch.

    For the reservation: n_ubatch tokens over all streams (Batch.n_tokens is per stream), all cells of the cache.
    CUDA, ROCm: ggml-cuda/fattn.cu, ggml_cuda_flash_attn_ext_get_alloc_size less ggml_nbytes, exact. SYCL: the copies of
    ggml_sycl_fattn_get_extra without oneDNN's. Elsewhere copies are no part of the compute buffer: 0.
    """
    if card.backend not in ("CUDA", "ROCm", "SYCL") or card.build <= _COPIES_FROM_POOL:
        return 0
    choice = choose(card, attention, batch)
    if card.backend == "SYCL" and choice.kernel != "none":  # the worst of its kernels is reserved, whatever runs
        choice = Choice(choice.kernel, attention.op_type_k != "f16", attention.op_type_v != "f16")
    output = attention.head_v * attention.n_head * batch.n_tokens * batch.n_streams * F32_BYTES
    values = attention.n_head_kv * batch.n_cells * batch.n_streams
    end = output
    if choice.copies_k:
        end = _aligned(end) + attention.head_k * values * F16_BYTES
    if choice.copies_v and not attention.v_in_k:
        end = _aligned(end) + attention.head_v * values * F16_BYTES
    return end - output


def f32_cast_bytes(attention: Attention, batch: Batch) -> tuple[int, int]:
    """(K, V) cast from f32 to f16 by the graph itself with flash attention, each a tensor of its own, in bytes."""
    values = attention.n_head_kv * batch.n_cells * batch.n_streams
    type_v = attention.type_k if attention.v_in_k else attention.type_v
    return (
        attention.head_k * values * F16_BYTES if attention.type_k == "f32" else 0,
        attention.head_v * values * F16_BYTES if type_v == "f32" else 0,
    )


def _said(card: Card, attention: Attention, decode: Choice, flash: Flash) -> tuple[Runs, bool, str]:
    """(runs, flash attention is on, why), as llama_init_from_model and resolve_fused_ops settle it."""
    pair = f"{attention.type_k}/{attention.type_v}"
    heads = f"{attention.head_k}/{attention.head_v}" if attention.head_k != attention.head_v else f"{attention.head_k}"
    place = f"heads of {heads} with GQA {attention.gqa_ratio} on {card.backend or 'CPU'}"
    if flash == "off":
        return ("fast" if card.backend in _HOST else "unknown"), False, "flash attention is off: no kernel of its own runs"
    if decode.kernel == "unknown":
        return "unknown", True, f"which kernel {card.backend} has for {pair} is not known (b{card.build})"
    if decode.kernel == "none" and flash == "auto" and attention.type_v in FLOATS:  # a quantised V switches it on
        return "unknown", False, f"no kernel for {pair} with {place}: -fa auto turns flash attention off"
    if decode.kernel == "none":
        return "cpu", True, f"no kernel for {pair} with {place}: attention runs on the CPU"
    if decode.copies or attention.casts:
        return "converted", True, f"{pair} is copied to f16 at each token with {place}"
    return "fast", True, f"{pair} has its own kernel for {place}"


def _assumed(card: Card) -> str:
    number = None if card.capability is not None else cuda.ASSUMED_CAPABILITY.get(card.backend)
    if number is None:
        return f"{card.backend}: rules of b{NEWEST_BUILD}, not measured" if card.backend in ("MTL", "SYCL", "Vulkan") else ""
    if card.backend == "ROCm":
        return f"card unknown: gfx{number:x} assumed"
    return f"compute capability unknown: {number // 10}.{number % 10} assumed"


def _aligned(size: int) -> int:
    return -(-size // _COPY_ALIGNMENT) * _COPY_ALIGNMENT
