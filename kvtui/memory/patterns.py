"""What each override of a command line moves: the tensors that its pattern matches, and those that an earlier one has taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.base.findings import Finding
from kvtui.base.sizes import mib
from kvtui.flags.overrides import Override
from kvtui.flags.patterns import compiled
from kvtui.hardware.buffers import buffer_device
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assign import first_matches
from kvtui.memory.assignment import Assignment, default_place
from kvtui.model.spec import ModelSpec, Tensor

MATCHES_NOTHING, SHADOWED = "pattern-matches-nothing", "pattern-shadowed"
_EXAMPLES = 3


@dataclass(frozen=True)
class PatternUse:
    """`said`: the flag as written. `tensors` of `n_bytes` go to `device` by it; `there_anyway` of them would be there without
    it. `taken`: those it matches too, and an earlier one (`taken_by`, as written) has taken. `examples`: names."""

    said: str
    device: str
    tensors: int
    n_bytes: int
    there_anyway: int
    taken: int
    taken_by: tuple[str, ...]
    examples: tuple[str, ...]

    @property
    def matched(self) -> int:
        """Tensors whose names it finds a match in."""
        return self.tensors + self.taken

    @property
    def finding(self) -> Finding | None:
        """What is wrong with it; None: nothing is."""
        if not self.matched:
            return Finding(MATCHES_NOTHING, "warning", f"{self.said}: matches no tensor of this model")
        if not self.tensors:
            text = f"{self.said}: moves nothing, {' and '.join(self.taken_by)} before it takes what it matches"
            return Finding(SHADOWED, "warning", text)
        return None

    def __str__(self) -> str:
        """`-ot exps=CPU: 12 tensors, 1,024 MiB to CPU (blk.0.ffn_up_exps.weight, ...)`."""
        more = ", ..." if self.tensors > len(self.examples) else ""
        named = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        text = f"{self.said}: {_tensors(self.tensors)}, {mib(self.n_bytes)} to {self.device}{named}"
        if self.there_anyway:
            text += f"; {self.there_anyway} would be there without it"
        return text + (f"; {self.taken} more went by {' and '.join(self.taken_by)}" if self.taken else "")


def _tensors(count: int) -> str:
    return f"{count:,} tensor{'' if count == 1 else 's'}"


def pattern_uses(
    model: ModelSpec, machine: Machine, said: Sequence[tuple[str, tuple[Override, ...]]], assignment: Assignment
) -> tuple[PatternUse, ...]:
    """One for each override as it was said (`flags.read.said_overrides`), among the tensors that are loaded. The first pattern
    that matches wins (src/llama-model-loader.cpp, create_tensor). Raises UsageError."""
    patterns = [(o, at) for at, (_, overrides) in enumerate(said) for o in overrides]
    firsts = first_matches(model, tuple(o.pattern for o, _ in patterns))
    owners = [None if first is None else patterns[first][1] for first in firsts]
    loaded = [(t, owner) for t, owner in zip(model.tensors, owners, strict=True) if t.loaded]
    return tuple(_use(at, said, loaded, machine, assignment) for at in range(len(said)))


def _use(
    at: int,
    said: Sequence[tuple[str, tuple[Override, ...]]],
    loaded: Sequence[tuple[Tensor, int | None]],
    machine: Machine,
    assignment: Assignment,
) -> PatternUse:
    words, overrides = said[at]
    home = buffer_device(overrides[0].buffer, machine.devices) if overrides else CPU
    mine = [t for t, owner in loaded if owner == at]
    searches = [compiled(o.pattern).search for o in overrides]
    lost = [owner for t, owner in loaded if owner is not None and owner < at and any(search(t.name) for search in searches)]
    return PatternUse(
        said=words,
        device="CPU" if home == CPU else machine.devices[home].name,
        tensors=len(mine),
        n_bytes=sum(t.n_bytes for t in mine),
        there_anyway=sum(default_place(t, assignment.layer_devices, machine.devices) == home for t in mine),
        taken=len(lost),
        taken_by=tuple(said[owner][0] for owner in sorted(set(lost))),
        examples=tuple(t.name for t in mine[:_EXAMPLES]),
    )
