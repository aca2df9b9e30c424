"""-fa for a plan whose person left it to llama-server: said out where the kernels are known."""

from dataclasses import replace

from kvtui.cache.kernels.attention import FLOATS
from kvtui.cache.support import support
from kvtui.placement.request import Request


def with_known_flash(request: Request) -> Request:
    """`on` where every device that may be opened has the kernel, `off` where none has; else `auto` stays: a card is not known,
    they differ, or a draft model or a projector, which -fa is for too, has attention of its own.

    With `on` llama-server does not probe (src/llama-context.cpp, resolve_fused_ops), whose answer is off as soon as one block's
    attention follows its neighbours to another device."""
    if request.flash_open:  # said for another pair of types, perhaps
        request = replace(request, flash_open=False, context=replace(request.context, flash_attn="auto"))
    context, beside = request.context, request.beside
    devices = [d for d, capacity in zip(request.machine.devices, request.capacities, strict=True) if capacity]
    if context.flash_attn != "auto" or request.model.family.no_flash_attention or not devices:
        return request
    if beside.draft is not None or beside.projector is not None or not any(x.has_cache for x in request.model.layers):
        return request
    found = support(request.model, context, devices, build=request.build, fa_quants=request.fa_quants)
    runs = [r for _, r in found.devices]
    if any(r.assumed for r in runs):
        return request
    if all(r.runs in ("fast", "converted") for r in runs):
        return replace(request, flash_open=True, context=replace(context, flash_attn="on"))
    if all(r.decode.kernel == "none" for r in runs) and context.type_v in FLOATS:
        return replace(request, flash_open=True, context=replace(context, flash_attn="off"))
    return request
