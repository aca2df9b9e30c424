"""How a pair of cache types runs on a machine with a model: on each device, and what the worst of them makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.cache.kernels import Attention, Card, Flash, Running, Runs, running, worst
from kvtui.cache.layout import cache_layout, physical_batch
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device
from kvtui.model.spec import ModelSpec


@dataclass(frozen=True)
class Support:
    """`runs`: what the worst device makes of it, `because` why. `devices`: each by its name; without any, the CPU."""

    runs: Runs
    because: str
    devices: tuple[tuple[str, Running], ...]
    flash: bool  # whether flash attention is on in the end


def support(
    model: ModelSpec,
    context: ContextParams,
    devices: Sequence[Device],
    *,
    build: Build = DEFAULT_BUILD,
    fa_quants: tuple[str, ...] | None = None,
) -> Support:
    """`fa_quants`: as the binary says them, None for the default set."""
    cards = [(d.name, Card(d.backend or "unknown", d.compute_capability, fa_quants, build.number)) for d in devices] or [
        ("CPU", Card("CPU"))
    ]
    shapes = _shapes(model, context)
    flash: Flash = "off" if model.family.no_flash_attention else context.flash_attn
    n_ubatch = physical_batch(model, context)
    found = tuple(
        (name, worst(running(card, a, n, flash=flash, n_ubatch=n_ubatch, n_streams=streams) for a, n, streams in shapes))
        for name, card in cards
    )
    decides = worst(r for _, r in found)
    name = next(n for n, r in found if r is decides)
    said = [f"{name}: {decides.because}", decides.assumed]
    return Support(decides.runs, "; ".join(s for s in said if s), found, all(r.flash for _, r in found))


def runs_at(
    model: ModelSpec, context: ContextParams, devices: Sequence[Device], *, build: Build, fa_quants: tuple[str, ...] | None
) -> tuple[Runs, ...]:
    """How the pair runs on each device, RAM last."""
    found = support(model, context, devices, build=build, fa_quants=fa_quants).devices if devices else ()
    return (*[r.runs for _, r in found], support(model, context, (), build=build).runs)


@lru_cache(maxsize=256)
def _shapes(model: ModelSpec, context: ContextParams) -> tuple[tuple[Attention, int, int], ...]:
    """(attention, cells a stream, streams) of the model's blocks, each shape once."""
    layout = cache_layout(model, context)
    window = layout.swa_cells // layout.streams
    v_in_k = model.is_mla or model.family.memory == "dsv4"
    found = {
        (
            Attention(x.head_k, x.head_v, x.n_head, x.n_head_kv, context.type_k, context.type_v, v_in_k=v_in_k),
            window if x.is_swa and window else layout.cells // layout.streams,
            layout.streams,
        ): None
        for x in model.layers
        if x.has_cache and x.n_head and x.n_head_kv
    }
    return tuple(found)
