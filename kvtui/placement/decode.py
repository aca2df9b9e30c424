"""What decoding one token takes of each place: the weights it reads, the caches, the operations it starts; and hand-offs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from kvtui.cache.kernels import Runs
from kvtui.cache.layout import cache_layout
from kvtui.cache.reading import cache_reads, cache_seconds
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute.operations import operations_a_block
from kvtui.memory.weights import EMBEDDING
from kvtui.model.spec import ModelSpec
from kvtui.placement.solve.problem import HANDOFF_SECONDS


@dataclass(frozen=True)
class Part:
    """One place's part of a token at full context. Bytes that are read; `as_f16_bytes`: what `cache_bytes` would be as f16."""

    weight_bytes: float
    cache_bytes: float
    as_f16_bytes: float
    runs: Runs
    operations: float  # that the place starts

    @property
    def used(self) -> bool:
        """Whether it has any part at all."""
        return bool(self.weight_bytes or self.cache_bytes)


@dataclass(frozen=True)
class Work:
    """A token's work. `parts`: one a device, RAM last. `yardstick_seconds`: by published bandwidths, hand-offs at the price
    that plans are compared by; at a full context and at an empty one."""

    parts: tuple[Part, ...]
    handoffs: int
    yardstick_seconds: float
    yardstick_seconds_empty: float

    @property
    def uses_ram(self) -> bool:
        """Whether RAM is read, be it for caches that a device leaves to the CPU."""
        return self.parts[-1].used or any(p.runs == "cpu" and p.cache_bytes > 0 for p in self.parts)


@dataclass(frozen=True)
class Still:
    """What a token takes whatever is in the caches. `homes`: a device a block, the output last; the others: a figure a device,
    RAM last."""

    homes: tuple[int, ...]
    weight_bytes: tuple[float, ...]
    operations: tuple[float, ...]
    handoffs: int


def handoffs_of(model: ModelSpec, assignment: Assignment) -> int:
    """Changes of device along the blocks, and two for each other place that holds weights of a block."""
    homes = assignment.layer_devices
    away = {
        (t.block, place)
        for t, place in zip(model.tensors, assignment.tensor_devices, strict=True)
        if t.loaded and t.block is not None and t.kind == "repeating" and place != homes[t.block]
    }
    return sum(a != b for a, b in pairwise(homes)) + 2 * len(away)


def still_of(model: ModelSpec, assignment: Assignment, places: int) -> Still:
    """The weights' part of a token. `places`: devices and RAM, which is last."""
    homes = assignment.layer_devices
    weights, operations = [0.0] * places, [0.0] * places
    for t, place in zip(model.tensors, assignment.tensor_devices, strict=True):
        if t.loaded and t.kind != "input":
            weights[place] += t.n_bytes * t.active
    if model.tied_output:
        embedding = next(t for t in model.tensors if t.name == EMBEDDING)
        weights[homes[-1] if assignment.tied_output is None else assignment.tied_output] += embedding.n_bytes
    for home in homes[: model.n_layer]:
        operations[home] += operations_a_block(model)
    return Still(tuple(homes), tuple(weights), tuple(operations), handoffs_of(model, assignment))


def work_of(
    model: ModelSpec, context: ContextParams, still: Still, runs: Sequence[Runs], seconds_per_byte: Sequence[float]
) -> Work:
    """The work with a context's caches. `runs` and `seconds_per_byte`: of each device, RAM last."""
    layout = cache_layout(model, context)
    plain = cache_layout(model, replace(context, type_k="f16", type_v="f16"))
    attends = still.homes if context.offload_kqv else (CPU,) * len(still.homes)
    own, as_f16 = [0.0] * len(runs), [0.0] * len(runs)
    for here, layer, f16 in zip(attends, layout.layers, plain.layers, strict=False):
        own[here] += layer.read_bytes
        as_f16[here] += f16.read_bytes
    of_caches = cache_seconds(cache_reads(layout, plain, runs, seconds_per_byte), attends, seconds_per_byte)
    reading = sum(w * s for w, s in zip(still.weight_bytes, seconds_per_byte, strict=True))
    return Work(
        tuple(map(Part, still.weight_bytes, own, as_f16, runs, still.operations)),
        still.handoffs,
        reading + of_caches + still.handoffs * HANDOFF_SECONDS,
        reading + still.handoffs * HANDOFF_SECONDS,
    )
