"""Where memory lacks, in a person's terms: the device or RAM, how much, and the largest parts of what is wanted there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kvtui.base.sizes import mib
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.amounts import DeviceMemory, Estimate, HostUse
from kvtui.memory.fits import RAM, Lack

_WORTH_NAMING = 0.05  # of the largest lack: smaller ones are not the cause
_MOST_PARTS = 2
_BESIDE = {"mtp": "the MTP context", "draft": "the draft model", "projector": "the projector"}


def lack_sentences(machine: Machine, margins: Mapping[str, int], lacks: Sequence[Lack], memory: Estimate) -> list[str]:
    """A clause for each of `lacks` that counts, the most first. `margins`: bytes to leave free, by device or RAM."""
    own, lacks = _pooled(lacks)
    places = {**{d.name: i for i, d in enumerate(machine.devices)}, RAM: CPU}
    found = []
    for lack in sorted(lacks, key=lambda x: -x.n_bytes):
        kept = f" (its margin is {mib(margins[lack.name])})" if margins.get(lack.name) else ""
        what = f": {_parts(memory, places[lack.name])}" if lack.name in places else ""
        if lack.n_bytes >= _WORTH_NAMING * max(x.n_bytes for x in lacks):
            alone = ", ".join(f"{mib(x.n_bytes)} by {x.name} alone" for x in own) if lack.members else ""
            found.append(f"{lack}{kept}{f', of these {alone}' if alone else ''}{what}")
    return found


def _pooled(lacks: Sequence[Lack]) -> tuple[list[Lack], list[Lack]]:
    """(what RAM and the devices of a pool lack by themselves, `lacks` with that as a part of what the pool lacks)."""
    pool = next((x for x in lacks if x.members), None)
    own = [x for x in lacks if pool is not None and x.name in pool.members]
    if pool is None:
        return own, list(lacks)
    whole = replace(pool, n_bytes=pool.n_bytes + sum(x.n_bytes for x in own))
    return own, [whole, *[x for x in lacks if x is not pool and x not in own]]


def nothing_mends(over_bytes: int) -> str:
    """Where no change that was tried is enough."""
    text = f"{mib(over_bytes)} more memory is needed in all, or weights of fewer bits"
    return f"no context, slots or cache type mends it: {text}"


def _parts(memory: Estimate, place: int) -> str:
    """The largest parts of what a device, or RAM, should hold."""
    use: DeviceMemory | HostUse = memory.host if place == CPU else memory.devices[place]
    parts = {
        "weights": use.weights_bytes,
        "K/V": use.cache_bytes,
        "recurrent state": use.recurrent_bytes,
        "the expert cache": use.expert_cache_bytes,
        "compute buffers": use.compute_bytes,
    }
    for part in memory.beside:
        if part.device == place:
            name = _BESIDE.get(part.what, part.what)
            parts[name] = parts.get(name, 0) + part.n_bytes
    largest = sorted((part for part in parts.items() if part[1]), key=lambda p: -p[1])[:_MOST_PARTS]
    return " and ".join(f"{name} {mib(size)}" for name, size in largest)
