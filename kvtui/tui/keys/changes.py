"""What a key makes of a request: pure functions, so that undo is keeping the old value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kvtui.base.findings import UsageError
from kvtui.base.sizes import mib, parse_size
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.memory.refusals import equal_types_needed
from kvtui.placement.request import Pin, Request
from kvtui.tasks.options import tokens

# the guide's four presets; its mix had fewer bits for K, which is the weaker order
PRESETS = (
    ("f16", "f16", "maximum performance"),
    ("q8_0", "q8_0", "balanced"),
    ("q4_0", "q4_0", "maximum savings"),
    ("q8_0", "q4_0", "mixed"),
)
_MOST_SLOTS = 256


@dataclass(frozen=True)
class Change:
    """The new request, and a sentence for the person."""

    request: Request
    notice: str = ""


def with_pair(request: Request, type_k: str, type_v: str, notice: str = "") -> Change:
    """Both types."""
    return Change(replace(request, context=replace(request.context, type_k=type_k, type_v=type_v)), notice)


def with_next_type(request: Request, side: str) -> Change:
    """The next type for one side; for both where the model needs them equal."""
    names = list(CACHE_TYPES)
    context = request.context
    current = context.type_k if side == "k" else context.type_v
    following = names[(names.index(current) + 1) % len(names)]
    if equal_types_needed(request.model):
        return with_pair(request, following, following, "K and V move together: this model needs them equal")
    if side == "k":
        return with_pair(request, following, context.type_v)
    return with_pair(request, context.type_k, following)


def with_preset(request: Request, number: int) -> Change:
    """One of the guide's four."""
    type_k, type_v, name = PRESETS[number]
    if type_k != type_v and equal_types_needed(request.model):
        return Change(request, "mixed types are not for this model: llama-server refuses K and V that differ")
    return with_pair(request, type_k, type_v, f"{name}: {type_k}/{type_v}")


def _context(request: Request, text: str) -> Request:
    count = tokens(text.strip() or "max")
    return replace(request, context=replace(request.context, n_ctx=count))


def _slots(request: Request, text: str) -> Request:
    if not text.strip():
        return replace(request, context=replace(request.context, n_parallel=None))
    try:
        count = int(text)
    except ValueError:
        raise UsageError(f"{text}: not a number of slots") from None
    if not 1 <= count <= _MOST_SLOTS:
        raise UsageError(f"{text}: slots are 1 to {_MOST_SLOTS}")
    return replace(request, context=replace(request.context, n_parallel=count))


def _ubatch(request: Request, text: str) -> Request:
    count = tokens(text.strip() or "512")
    if count < 1:
        raise UsageError(f"{text}: a batch is 1 token or more")
    batch = max(request.context.n_batch, count)
    return replace(request, context=replace(request.context, n_ubatch=count, n_batch=batch))


def _margin(request: Request, text: str) -> Request:
    return replace(request, margins=(parse_size(text),) * max(len(request.machine.devices), 1))


EDITS: dict[str, Callable[[Request, str], Request]] = {
    "context": _context,
    "slots": _slots,
    "ubatch": _ubatch,
    "margin": _margin,
}


def apply_edit(request: Request, what: str, text: str) -> Change:
    """A typed value; bad input changes nothing and says why."""
    try:
        return Change(EDITS[what](request, text))
    except UsageError as e:
        return Change(request, str(e))


def pinned(request: Request, block: int) -> Change:
    """The block's experts (or FFN) on the device after the one they are pinned to; RAM comes last, then no pin."""
    if block >= request.model.n_layer_all:
        return Change(request, "the output stays with the last device")
    tensors = r"ffn_.*_exps" if request.model.n_expert else r"ffn_(up|gate|down)\."
    pattern = rf"^blk\.{block}\.{tensors}"
    names = [*(d.name for d in request.machine.devices), "CPU"]
    current = next((p.device for p in request.pins if p.pattern == pattern), None)
    others = tuple(p for p in request.pins if p.pattern != pattern)
    at = names.index(current) + 1 if current in names else 0
    if at >= len(names):
        return Change(replace(request, pins=others), f"block {block}: no pin")
    used = sum(t.n_bytes for t in request.model.tensors if t.block == block and ".ffn_" in t.name)
    pin = Pin(pattern, names[at])
    return Change(replace(request, pins=(*others, pin)), f"block {block}: {mib(used)} pinned to {names[at]}")
