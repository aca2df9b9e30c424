"""Exact flags that do not fit: the shortest changes that were tried and mend it, and why -ncmoe fills the last device alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from kvtui.base.build import Build
from kvtui.base.findings import Finding
from kvtui.flags.context import CELL_STEP
from kvtui.flags.overrides import EXPERTS, first_blocks
from kvtui.flags.read import MAX_SPLITS, ServerFlags
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.amounts import Estimate
from kvtui.memory.assign import used_devices
from kvtui.memory.assignment import Assignment
from kvtui.memory.changes import changes
from kvtui.model.spec import ModelSpec

NCMOE = "ncmoe-order"
_MOST_REMEDIES = 2
_MOST_SPLITS = 24  # splits that are tried, each an estimate
_UNEVEN = 1.5  # times the experts of another device: worth a word

Trial = Callable[[ServerFlags], tuple[Assignment, Estimate, int]]  # flags -> (where, what, bytes that lack)


@dataclass(frozen=True)
class FlagChanges:
    """`trial`: what flags would take with the same model, machine and margins. `limits`: bytes a device may hold."""

    model: ModelSpec
    machine: Machine
    build: Build
    limits: Sequence[int]
    trial: Trial

    def that_fit(self, flags: ServerFlags) -> list[str]:
        """The first few changes that make `flags` fit, in words; [] where none of those tried does."""
        found: list[str] = []
        for text in self._tried(flags):
            found.append(text)
            if len(found) == _MOST_REMEDIES:
                break
        return found

    def _tried(self, flags: ServerFlags) -> Iterator[str]:
        split = self.split(flags)
        if split:
            yield f"-ts {split}"
        more = self._more_experts_in_ram(flags)
        if more:
            yield f"-ncmoe {more}"
        for change in changes(self.model, flags.context, flags.beside, self.build):
            if self._fits(replace(flags, context=change.context, beside=change.beside)):
                yield change.text
        fewer = self._fewer_blocks(flags)
        if fewer is not None:
            yield f"-ngl {fewer}"
        tokens = self._fewer_tokens(flags)
        if tokens:
            yield f"-c {tokens}"

    def _fits(self, flags: ServerFlags) -> bool:
        return self.trial(flags)[2] == 0

    def split(self, flags: ServerFlags) -> str | None:
        """-ts as counts of blocks, moved from the fullest device to the emptiest until it fits; None where it does not."""
        used = used_devices(flags, self.machine.devices)
        if not 1 < len(used) <= MAX_SPLITS or flags.split_mode != "layer":
            return None
        where, memory, _ = self.trial(flags)
        counts = {d: sum(x == d for x in where.layer_devices) for d in used}
        for _ in range(_MOST_SPLITS):
            spare = {d: self.limits[d] - memory.devices[d].used_bytes for d in used}
            fullest, emptiest = min(used, key=spare.__getitem__), max(used, key=spare.__getitem__)
            if spare[fullest] >= 0 or spare[emptiest] <= 0 or counts[fullest] < 1:
                return None
            held = memory.devices[fullest].used_bytes - memory.devices[fullest].working_bytes
            each = max(held // counts[fullest], 1)
            moved = min(max(1, min(-spare[fullest], spare[emptiest]) // (2 * each)), counts[fullest])
            counts[fullest] -= moved
            counts[emptiest] += moved
            trial = replace(flags, tensor_split=tuple([float(counts[d]) for d in used]))
            _, memory, over = self.trial(trial)
            if not over:
                return ",".join(str(counts[d]) for d in used)
        return None

    def _more_experts_in_ram(self, flags: ServerFlags) -> int | None:
        """The smallest -ncmoe with which it fits, where no other override is given."""
        now = blocks_in_ram(flags)
        if not self.model.n_expert or now is None:
            return None
        return self._least(now + 1, self.model.n_layer, lambda n: replace(flags, overrides=first_blocks(n, EXPERTS)))

    def _fewer_blocks(self, flags: ServerFlags) -> int | None:
        """The largest -ngl with which it fits."""
        most = min(flags.n_gpu_layers, self.model.n_layer_all + 1)
        fewer = self._least(1, most, lambda n: replace(flags, n_gpu_layers=most - n))
        return None if fewer is None else most - fewer

    def _fewer_tokens(self, flags: ServerFlags) -> int | None:
        """The largest -c with which it fits, to 256."""
        most = (flags.context.n_ctx or self.model.n_ctx_train) // CELL_STEP

        def shorter(n: int) -> ServerFlags:
            return replace(flags, context=replace(flags.context, n_ctx=(most - n) * CELL_STEP))

        fewer = self._least(1, most - 1, shorter)
        return None if fewer is None else (most - fewer) * CELL_STEP

    def _least(self, low: int, high: int, changed: Callable[[int], ServerFlags]) -> int | None:
        """The least change from `low` to `high` that fits, where a larger one takes less; None where the largest does not."""
        if low > high or not self._fits(changed(high)):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._fits(changed(middle)) else (middle + 1, high)
        return low


def blocks_in_ram(flags: ServerFlags) -> int | None:
    """N of -ncmoe N, 0 without overrides; None where there are others."""
    count = len(flags.overrides)
    return count if flags.overrides == first_blocks(count, EXPERTS) else None


def ncmoe_order(model: ModelSpec, machine: Machine, flags: ServerFlags, where: Assignment) -> Finding | None:
    """Why -ncmoe leaves the first devices empty: it counts from the first block, and so do the devices."""
    count = blocks_in_ram(flags)
    homes = where.layer_devices[: model.n_layer]
    used = list(dict.fromkeys(d for d in homes if d != CPU))
    if not model.n_expert or not count or len(used) < 2:
        return None
    kept = {d: sum(home == d and block >= count for block, home in enumerate(homes)) for d in used}
    fewest, most = min(used, key=kept.__getitem__), max(used, key=kept.__getitem__)
    if kept[most] < _UNEVEN * kept[fewest]:
        return None
    who = ", ".join(f"{machine.devices[d].name} keeps those of {kept[d] or 'none'}" for d in used)
    text = f"-ncmoe {count} takes the experts of the first {count} blocks, and devices are given blocks in the same order: {who}"
    return Finding(NCMOE, "note", f"{text}; -ts with more blocks for {machine.devices[fewest].name} evens it out")
