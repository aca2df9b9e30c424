"""A request as a profile keeps it, and a profile taken over into a request while the app runs."""

from dataclasses import fields, replace

from kvtui.base.findings import UsageError
from kvtui.hardware.device import DEFAULT_MARGIN_BYTES
from kvtui.hardware.simulated import check_margins, parse_margins
from kvtui.placement.request import Request
from kvtui.tasks.opening import pins_of
from kvtui.tasks.options import Options, context_params
from kvtui.tasks.profiles import NOT_KEPT, Profile

# options of a request that can change while the app runs; the others are of its start: the model, machine and server
_OF_REQUESTS = frozenset(
    ("ctx_size", "cache_type_k", "cache_type_v", "parallel", "kv_unified", "batch_size", "ubatch_size", "flash_attn", "swa_full",
     "no_kv_offload", "embedding", "rerank", "pooling", "margin", "pin")
)  # fmt: skip


def options_of(request: Request, started: Options) -> Options:
    """`started`, what the app was started with, with what is asked now."""
    context = request.context
    return replace(
        started,
        ctx_size=str(context.n_ctx) if context.n_ctx else "max",
        cache_type_k=context.type_k,
        cache_type_v=context.type_v,
        parallel=context.n_parallel,
        batch_size=None if request.ubatch_open else context.n_batch,
        ubatch_size=None if request.ubatch_open else context.n_ubatch,
        margin=",".join(map(str, request.margins)) or None,
        display_margin=None if request.margins else started.display_margin,  # it is among them
        pin=tuple([f"{p.pattern}={p.device}" for p in request.pins]),
    )


def with_profile(request: Request, name: str, profile: Profile, started: Options, model: str | None) -> Request:
    """`request` with what the profile sets; the rest stays. Raises UsageError where it sets what only a start can."""
    if profile.model is not None and profile.model != model:
        raise UsageError(f"profile {name} is for {profile.model}: kvtui --profile {name} opens it")
    plain = Options()
    said = [f.name for f in fields(Options) if getattr(profile.options, f.name) != getattr(plain, f.name)]
    of_start = [n for n in said if n not in _OF_REQUESTS and n not in NOT_KEPT]
    other = [n.replace("_", "-") for n in of_start if getattr(profile.options, n) != getattr(started, n)]
    if other:
        raise UsageError(f"profile {name} sets {', '.join(other)}, which only a start takes: kvtui --profile {name}")
    taken = profile.options
    margins = request.margins
    if taken.margin is not None:
        margins = parse_margins(taken.margin, len(request.machine.devices), DEFAULT_MARGIN_BYTES)
        check_margins(taken.margin, margins, request.machine.devices)
    pins = pins_of(taken.pin, request.machine) if taken.pin else request.pins
    ubatch_open = request.ubatch_open and taken.ubatch_size is None and taken.batch_size is None
    context = context_params(taken, request.context)
    return replace(request, context=context, ubatch_open=ubatch_open, margins=margins, pins=pins)
