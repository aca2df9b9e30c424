"""Two placements of one model side by side: bytes a device, tokens a second, and what moves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.hardware.device import CPU, Machine
from kvtui.memory.amounts import Estimate
from kvtui.memory.assignment import Assignment
from kvtui.model.spec import ModelSpec
from kvtui.placement.speed import Speed


@dataclass(frozen=True)
class Placed:
    """One of the two."""

    assignment: Assignment
    estimate: Estimate
    speed: Speed | None


@dataclass(frozen=True)
class Move:
    """So many blocks (with their K/V; the output counts as one) or tensors are on `target` instead of `source`. `n_bytes`: of
    tensors their weights, of blocks 0."""

    what: str  # "block" | "tensor"
    count: int
    n_bytes: int
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}{'' if self.count == 1 else 's'} {self.source} -> {self.target}"


@dataclass(frozen=True)
class Difference:
    """The second less the first: `device_bytes`, a number a device, and `host_bytes`; `tokens_per_second` and
    `prompt_tokens_per_second` None where one of them has no speed."""

    device_bytes: tuple[int, ...]
    host_bytes: int
    tokens_per_second: float | None
    prompt_tokens_per_second: float | None
    moves: tuple[Move, ...]

    @property
    def same(self) -> bool:
        """Whether everything is where it was and takes as much."""
        return not self.moves and not any((*self.device_bytes, self.host_bytes))


def difference(model: ModelSpec, machine: Machine, first: Placed, second: Placed) -> Difference:
    """`second` less `first`."""
    uses = zip(first.estimate.devices, second.estimate.devices, strict=True)
    both = None if first.speed is None or second.speed is None else (first.speed, second.speed)
    return Difference(
        device_bytes=tuple(b.used_bytes - a.used_bytes for a, b in uses),
        host_bytes=second.estimate.host.used_bytes - first.estimate.host.used_bytes,
        tokens_per_second=both and both[1].tokens_per_second - both[0].tokens_per_second,
        prompt_tokens_per_second=both and both[1].prompt_tokens_per_second - both[0].prompt_tokens_per_second,
        moves=(*_blocks(model, machine, first, second), *_tensors(model, machine, first, second)),
    )


def _blocks(model: ModelSpec, machine: Machine, first: Placed, second: Placed) -> list[Move]:
    pairs = list(zip(first.assignment.layer_devices, second.assignment.layer_devices, strict=True))
    return _moves("block", pairs, [0] * len(pairs), machine)


def _tensors(model: ModelSpec, machine: Machine, first: Placed, second: Placed) -> list[Move]:
    homes = zip(first.assignment.tensor_devices, second.assignment.tensor_devices, strict=True)
    loaded = [(pair, t.n_bytes) for pair, t in zip(homes, model.tensors, strict=True) if t.loaded]
    return _moves("tensor", [pair for pair, _ in loaded], [n for _, n in loaded], machine)


def _moves(what: str, pairs: Sequence[tuple[int, int]], sizes: Sequence[int], machine: Machine) -> list[Move]:
    counts: Counter[tuple[int, int]] = Counter()
    n_bytes: Counter[tuple[int, int]] = Counter()
    for pair, size in zip(pairs, sizes, strict=True):
        if pair[0] != pair[1]:
            counts[pair] += 1
            n_bytes[pair] += size
    names = {CPU: "CPU", **dict(enumerate(d.name for d in machine.devices))}
    return [Move(what, count, n_bytes[pair], names[pair[0]], names[pair[1]]) for pair, count in counts.most_common()]
