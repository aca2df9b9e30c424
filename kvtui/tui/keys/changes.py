"""What a key makes of a request: pure functions, so that undo is keeping the old value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kvtui.base.findings import UsageError
from kvtui.base.sizes import GIB, MIB, gib, mib, parse_size
from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import UNSET_SLOTS, ContextParams
from kvtui.hardware.device import DEFAULT_MARGIN_BYTES
from kvtui.hardware.simulated import parse_margins
from kvtui.memory.refusals import equal_types_needed
from kvtui.placement.request import Request
from kvtui.tasks.options import tokens

# the guide's four presets; its mix had fewer bits for K, which is the weaker order
PRESETS = (
    ("f16", "f16", "maximum performance"),
    ("q8_0", "q8_0", "balanced"),
    ("q4_0", "q4_0", "maximum savings"),
    ("q8_0", "q4_0", "mixed"),
)
# of each type, the one of about half its bytes (llama.cpp has no type of 2 bits for caches)
HALVES = {"f32": "f16", "f16": "q8_0", "bf16": "q8_0", "q8_0": "q4_0"}
_MOST_SLOTS = 256


@dataclass(frozen=True)
class Change:
    """The new request, and a sentence for the person."""

    request: Request
    notice: str = ""


def with_pair(request: Request, type_k: str, type_v: str, notice: str = "") -> Change:
    """Both types."""
    return Change(replace(request, context=replace(request.context, type_k=type_k, type_v=type_v)), notice)


def with_next_type(request: Request, side: str, step: int = 1) -> Change:
    """Another type for one side, `step` further in the list; for both where the model needs them equal."""
    names = list(CACHE_TYPES)
    context = request.context
    current = context.type_k if side == "k" else context.type_v
    following = names[(names.index(current) + step) % len(names)]
    if equal_types_needed(request.model):
        return with_pair(request, following, following, "K and V move together: this model needs them equal")
    if side == "k":
        return with_pair(request, following, context.type_v)
    return with_pair(request, context.type_k, following)


def halved(request: Request) -> Change:
    """Types of about half the bytes, for K and V; the notice has the bytes before and after."""
    context = request.context
    type_k, type_v = HALVES.get(context.type_k), HALVES.get(context.type_v)
    if type_k is None or type_v is None:
        none = context.type_k if type_k is None else context.type_v
        return Change(request, f"no type has half the bytes of {none}: a smaller context takes less")
    change = with_pair(request, type_k, type_v)
    before, after = (cache_layout(request.model, r.context).cache_bytes for r in (request, change.request))
    return replace(change, notice=f"{type_k}/{type_v}: {_size(after)} of cache instead of {_size(before)}")


def _size(n_bytes: int) -> str:
    return gib(n_bytes, 2) if n_bytes >= GIB else mib(n_bytes)


def with_largest_context(request: Request) -> Change:
    """The trained context, or the most that fits."""
    return Change(_context(request, "max"))


def with_preset(request: Request, number: int) -> Change:
    """One of the guide's four."""
    type_k, type_v, name = PRESETS[number]
    if type_k != type_v and equal_types_needed(request.model):
        return Change(request, "mixed types are not for this model: llama-server refuses K and V that differ")
    return with_pair(request, type_k, type_v, f"{name}: {type_k}/{type_v}")


def with_next_preferred(request: Request) -> Change:
    """The next device that may be used is the preferred one; after the last, none is."""
    names = [d.name for d in request.machine.devices if d.name not in request.excluded]
    if len(names) < 2:
        return Change(request, "there is no choice of devices")
    order = [None, *names]
    chosen = order[(order.index(request.preferred) + 1) % len(order)] if request.preferred in order else None
    said = "no device is preferred" if chosen is None else f"{chosen} is preferred: alone where all fits there, else opened first"
    return Change(replace(request, preferred=chosen), said)


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
    plain = ContextParams()
    if not text.strip():
        own = replace(request.context, n_ubatch=plain.n_ubatch, n_batch=plain.n_batch)
        return replace(request, context=own, ubatch_open=True)
    count = tokens(text)
    if count < 1:
        raise UsageError(f"{text}: a batch is 1 token or more")
    batch = max(request.context.n_batch, count)
    context = replace(request.context, n_ubatch=count, n_batch=batch)
    return replace(request, context=context, ubatch_open=False)


def _margin(request: Request, text: str) -> Request:
    count = len(request.machine.devices)
    return replace(request, margins=parse_margins(text, count, DEFAULT_MARGIN_BYTES) if count else (parse_size(text),))


def _margin_today(request: Request) -> str:
    sizes = request.margin_bytes or request.margins
    return ",".join(f"{n / MIB:g}MiB" for n in (sizes[:1] if len(set(sizes)) == 1 else sizes))


@dataclass(frozen=True)
class Edit:
    """A value a person types: what it makes of the request, how it is written today, and what may be typed."""

    apply: Callable[[Request, str], Request]
    today: Callable[[Request], str]
    hint: str


EDITS: dict[str, Edit] = {
    "context": Edit(
        _context,
        lambda r: str(r.context.n_ctx) if r.context.n_ctx else "max",
        "132k, or max: the trained context, or the most that fits",
    ),
    "slots": Edit(
        _slots,
        lambda r: "" if r.context.n_parallel is None else str(r.context.n_parallel),
        f"1 to {_MOST_SLOTS}; nothing: llama-server's own {UNSET_SLOTS}",
    ),
    "ubatch": Edit(
        _ubatch,
        lambda r: str(r.context.n_ubatch),
        "tokens of a physical batch; nothing: 512, more with experts in RAM",
    ),
    "margin": Edit(_margin, _margin_today, "to leave free on each device: 1GiB, or one for each: 1GiB,512MiB"),
}


def apply_edit(request: Request, what: str, text: str) -> Change:
    """A typed value; today's, and bad input, change nothing; the latter says why."""
    if text.strip() == EDITS[what].today(request):
        return Change(request)
    try:
        return Change(EDITS[what].apply(request, text))
    except UsageError as e:
        return Change(request, str(e))
