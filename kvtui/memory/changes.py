"""What a person could change of a context and of what loads beside the model so that it takes less, the smallest loss first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kvtui.base.build import Build
from kvtui.flags.beside import BesideFlags
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.memory.refusals import refusals
from kvtui.model.spec import ModelSpec

_SMALLER_TYPES = ("q8_0", "q4_0")  # for K and V alike: what most back ends run without a copy
_USUAL_UBATCH = 512  # common/common.h, n_ubatch


@dataclass(frozen=True)
class Change:
    """One of them, in words that hold its flag."""

    text: str
    context: ContextParams
    beside: BesideFlags


def changes(model: ModelSpec, context: ContextParams, beside: BesideFlags, build: Build) -> Iterator[Change]:
    """Those that llama-server would take."""
    if beside.mmproj is not None and beside.mmproj_name != "none":
        in_ram = replace(beside, mmproj_offload=False, mmproj_device=None)
        yield Change("the projector in RAM (--no-mmproj-offload)", context, in_ram)
    if context.slots > 1:
        yield Change("one slot (-np 1)", replace(context, n_parallel=1), beside)
    if beside.draft is not None:
        for name in _narrower(beside.draft_type_k, beside.draft_type_v):
            text = f"a draft cache of {name} (-ctkd {name} -ctvd {name})"
            yield Change(text, context, replace(beside, draft_type_k=name, draft_type_v=name))
        if beside.draft_devices != ():
            yield Change("the draft model in RAM (-devd none)", context, replace(beside, draft_devices=()))
    if context.n_ubatch > _USUAL_UBATCH:
        yield Change(f"a smaller physical batch (-ub {_USUAL_UBATCH})", replace(context, n_ubatch=_USUAL_UBATCH), beside)
    if not context.offload_kqv:
        yield Change("K/V on the devices (no -nkvo)", replace(context, offload_kqv=True), beside)
    if context.swa_full:
        yield Change("no --swa-full", replace(context, swa_full=False), beside)
    for name in _narrower(context.type_k, context.type_v):
        smaller = replace(context, type_k=name, type_v=name)
        if not any(f.severity == "error" for f in refusals(model, smaller, build)):
            yield Change(f"a cache of {name} (-ctk {name} -ctv {name})", smaller, beside)


def _narrower(type_k: str, type_v: str) -> list[str]:
    widest = max(CACHE_TYPES[type_k].bits, CACHE_TYPES[type_v].bits)
    return [name for name in _SMALLER_TYPES if CACHE_TYPES[name].bits < widest]
