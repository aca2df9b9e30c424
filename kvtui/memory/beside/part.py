"""One thing beside the model on one device."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.base.sizes import F32_BYTES


@dataclass(frozen=True)
class Part:
    """Bytes. `what`: mtp, draft or projector; `device`: an index into the machine's devices, CPU (-1) for RAM;
    `output_bytes`: rows of logits in RAM."""

    what: str
    device: int
    weights_bytes: int = 0
    cache_bytes: int = 0
    recurrent_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.cache_bytes + self.recurrent_bytes + self.compute_bytes + self.output_bytes


def output_rows(n_vocab: int, slots: int) -> int:
    """Logits of one row a slot, kept in RAM (src/llama-context.cpp, output_reserve)."""
    return n_vocab * slots * F32_BYTES


def parts(
    what: str,
    weights: Sequence[int] = (),
    cache: Sequence[int] = (),
    state: Sequence[int] = (),
    compute: Sequence[int] = (),
    output: int = 0,
) -> tuple[Part, ...]:
    """A part a device that takes anything; sequences hold the devices in the machine's order and RAM last."""
    count = max(len(weights), len(cache), len(state), len(compute))
    rows = [[given[i] if given else 0 for i in range(count)] for given in (weights, cache, state, compute)]
    found = []
    for i in range(count):
        device = i if i < count - 1 else -1
        held, cached, kept, computed = (row[i] for row in rows)
        part = Part(what, device, held, cached, kept, computed, output if device == -1 else 0)
        if part.n_bytes:
            found.append(part)
    return tuple(found)
