"""What servers taught that a plan does not count yet: how much it is, and what a plan that counts it would move."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvtui.base.sizes import mib
from kvtui.memory.amounts import Estimate
from kvtui.memory.estimate import estimate
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.request import Request
from kvtui.tasks.history import with_learned

if TYPE_CHECKING:
    from kvtui.memory.corrections import Learned
    from kvtui.server.measure.measured import Measurement


@dataclass(frozen=True)
class Lesson:
    """`known`: the measurements it rests on. `more_bytes`: (device or RAM, bytes) that the same placement takes more by
    them. `moved`: blocks of which something would lie elsewhere; `n_ctx`: the context there would be, where it is another."""

    known: tuple["Measurement", ...]
    more_bytes: tuple[tuple[str, int], ...] = ()
    moved: tuple[int, ...] = ()
    n_ctx: int | None = None

    @property
    def is_one(self) -> bool:
        """Whether a plan would differ by it, or its figures."""
        return bool(self.more_bytes or self.moved or self.n_ctx is not None)

    def told(self, key: str) -> str:
        """One sentence; `key` plans with it."""
        count = len(self.moved)
        moves = f"{count} block{'s' if count != 1 else ''} would move" if count else "no block would move"
        context = f", context {self.n_ctx:,}" if self.n_ctx is not None else ""
        sizes = ", ".join(f"{name} {'+' if n > 0 else '-'}{mib(abs(n))}" for name, n in self.more_bytes)
        return f"measured here: {sizes or 'the same sizes'}; {key} plans with it, {moves}{context}"


def lesson_of(request: Request, plan: Plan, known: Sequence["Measurement"]) -> Lesson:
    """What `known` would change of `plan`, which answers `request`."""
    taught = with_learned(plan.request, known=known).learned
    if replace(taught, said="") == replace(plan.request.learned, said=""):
        return Lesson(tuple(known))
    before, after = _taken(plan, plan.request.learned), _taken(plan, taught)
    rows = zip(plan.request.machine.devices, before.devices, after.devices, strict=True)
    more = [(d.name, new.used_bytes - old.used_bytes) for d, old, new in rows]
    more.append(("RAM", after.host.used_bytes - before.host.used_bytes))
    better = make_plan(with_learned(request, known=known))
    n_ctx = better.request.context.n_ctx
    return Lesson(
        tuple(known),
        tuple((name, n) for name, n in more if n),
        moved_blocks(plan, better),
        n_ctx if n_ctx != plan.request.context.n_ctx else None,
    )


def moved_blocks(one: Plan, other: Plan) -> tuple[int, ...]:
    """Blocks of which something lies elsewhere in the other plan of the same model; the output counts as the last."""
    homes = zip(one.assignment.layer_devices, other.assignment.layer_devices, strict=True)
    found = {i for i, (here, there) in enumerate(homes) if here != there}
    last = len(one.assignment.layer_devices) - 1
    for tensor in one.request.model.tensors:
        if one.assignment.tensor_devices[tensor.index] != other.assignment.tensor_devices[tensor.index]:
            found.add(last if tensor.block is None else tensor.block)
    return tuple(sorted(found))


def _taken(plan: Plan, learned: "Learned") -> Estimate:
    request = plan.request
    return estimate(request.model, request.context, plan.assignment, request.machine, request.build, learned=learned)
