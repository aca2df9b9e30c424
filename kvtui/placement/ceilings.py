"""What RAM comes to hold with use, and what the slots that nobody asked for cost: told beside a plan, never in the way of it."""

from dataclasses import replace

from kvtui.base.findings import Finding
from kvtui.base.sizes import MIB, mib
from kvtui.flags.context import UNSET_SLOTS
from kvtui.flags.read import DEFAULT_CACHE_RAM_MIB, DEFAULT_CHECKPOINTS
from kvtui.memory.amounts import Estimate
from kvtui.memory.estimate import checkpoint_bytes
from kvtui.placement.request import Request
from kvtui.placement.solve.candidate import Candidate, evaluate
from kvtui.placement.solve.problem import build_problem

_NOTABLE_SHARE = 0.05  # of a device's memory


def with_ceilings(request: Request, memory: Estimate) -> Estimate:
    """`memory` with the most that llama-server's prompt cache and context checkpoints may come to hold in RAM."""
    kept = checkpoint_bytes(request.model, request.context, DEFAULT_CHECKPOINTS)
    host = replace(memory.host, prompt_cache_bytes=DEFAULT_CACHE_RAM_MIB * MIB, checkpoint_bytes=kept)
    return replace(memory, host=host)


def beyond_ram(request: Request, memory: Estimate) -> Finding | None:
    """A warning where RAM lacks room for the ceilings, with flags that keep within it."""
    host, slots = memory.host, request.context.slots
    left = max(request.ram_capacity - host.used_bytes, 0)
    if host.prompt_cache_bytes + host.checkpoint_bytes <= left:
        return None
    parts, flags = [f"a prompt cache of up to {mib(host.prompt_cache_bytes)}"], []
    if host.checkpoint_bytes:
        parts.append(f"checkpoints of up to {mib(host.checkpoint_bytes)} ({DEFAULT_CHECKPOINTS} for each of {slots} slots)")
        each = host.checkpoint_bytes // DEFAULT_CHECKPOINTS
        count = min(left // 2 // each, DEFAULT_CHECKPOINTS)
        flags.append(f"-ctxcp {count}")
        left -= count * each
    flags.insert(0, f"-cram {min(left, host.prompt_cache_bytes) // MIB}")
    text = f"with use RAM comes to hold {' and '.join(parts)}, {mib(request.ram_capacity - host.used_bytes)} are left: "
    return Finding("ceilings", "warning", f"{text}{' '.join(flags)} keeps within it")


def cost_of_slots(request: Request, candidate: Candidate) -> Finding | None:
    """A note where the four slots that llama-server takes unasked cost more than 5 % of a device against one."""
    model = request.model
    if request.context.n_parallel is not None or not (model.n_swa or model.recurrent):
        return None
    single = replace(request, context=replace(request.context, n_parallel=1))
    one = evaluate(build_problem(single), candidate.homes, candidate.places).estimate
    more = [(a.used_bytes - b.used_bytes) for a, b in zip(candidate.estimate.devices, one.devices, strict=True)]
    notable = [
        f"{mib(cost)} on {device.name}"
        for device, cost in zip(request.machine.devices, more, strict=True)
        if cost > _NOTABLE_SHARE * device.total_bytes
    ]
    if not notable:
        return None
    return Finding(
        "slots-cost", "note", f"{UNSET_SLOTS} slots, llama-server's own choice, cost {', '.join(notable)} more than -np 1"
    )
