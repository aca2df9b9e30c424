"""The largest contexts of many K/V pairs: what one pair's search saw says where the next one's answer is.

A pair's caches are known to the byte at every context, and cost little to know; the buffers are what takes time, and are nearly
the same lines over the context for pairs whose caches are read alike. So each guess is the exact answer for buffers on the line
through the two nearest contexts that were measured. What is returned was measured on both sides: it fits, and one step more
does not."""

from bisect import bisect_left
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import CELL_STEP
from kvtui.hardware.device import CPU
from kvtui.memory.amounts import Estimate
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import spare_bytes
from kvtui.placement.context_search import last
from kvtui.placement.request import Request
from kvtui.placement.solve.greedy import search
from kvtui.placement.solve.problem import beside_model, build_problem

_PLACEMENTS = 2  # the last ones that a search found: a guess is made from the one that reaches farthest
_GUESSES = 6  # after so many, every second halves: buffers are no line there


@dataclass(frozen=True)
class _Seen:
    """Memory of one placement, `by_cells`: at contexts in order."""

    layer_devices: tuple[int, ...]
    by_cells: list[tuple[int, Estimate]] = field(default_factory=list)

    def note(self, cells: int, memory: Estimate) -> None:
        """One more."""
        at = bisect_left(self.by_cells, cells, key=lambda seen: seen[0])
        self.by_cells[at : at + (at < len(self.by_cells) and self.by_cells[at][0] == cells)] = [(cells, memory)]

    def steps(self, request: Request, most: int) -> int:
        """Of the largest context with which it would fit."""

        def spare(cells: int) -> int:
            return spare_bytes(request.machine, request.capacities, self._supposed(request, cells), request.ram_capacity)

        return -(-(last(spare, most) or 0) // CELL_STEP)

    def _supposed(self, request: Request, cells: int) -> Estimate:
        """The pair's caches, and buffers on the line through what is known."""
        known = self.by_cells
        at = min(max(bisect_left(known, cells, key=lambda seen: seen[0]), 1), max(len(known) - 1, 1))
        (at_low, low), (at_high, high) = known[at - 1], known[min(at, len(known) - 1)]
        share = (cells - at_low) / (at_high - at_low) if at_high > at_low else 0.0
        cache = self._caches(request, cells)
        devices = []
        for a, b, n_bytes in zip(low.devices, high.devices, cache, strict=False):
            more = round((b.working_bytes - a.working_bytes) * share)
            devices.append(replace(a, cache_bytes=n_bytes, compute_bytes=a.compute_bytes + more))
        a_host, b_host = low.host, high.host
        more = round((b_host.compute_bytes + b_host.beside_bytes - a_host.compute_bytes - a_host.beside_bytes) * share)
        host = replace(a_host, cache_bytes=cache[CPU], compute_bytes=a_host.compute_bytes + more)
        return replace(low, devices=tuple(devices), host=host)

    def _caches(self, request: Request, cells: int) -> list[int]:
        """Bytes a device, RAM last."""
        layout = cache_layout(request.model, replace(request.context, n_ctx=cells))
        cache = [0] * (len(request.machine.devices) + 1)
        for home, layer in zip(self.layer_devices, layout.layers, strict=False):
            cache[home if request.context.offload_kqv else CPU] += layer.cache_bytes
        return cache


@dataclass(frozen=True)
class InPlace:
    """One placement of one model; `seen` by how caches are read."""

    assignment: Assignment
    seen: dict[Hashable, _Seen] = field(default_factory=dict, repr=False)

    def largest(self, request: Request, most: int, runs: Hashable) -> int | None:
        """The most tokens up to `most`, to 256, with which `request` fits; None where 256 do not. `runs`: which kernels read
        the pair, a place each; guesses are made from pairs that are read alike."""
        seen = self.seen.setdefault(_read(request, runs), _Seen(self.assignment.layer_devices))

        def fits(cells: int) -> bool:
            memory = self._measured(request, cells)
            seen.note(cells, memory)
            return spare_bytes(request.machine, request.capacities, memory, request.ram_capacity) >= 0

        def guess(turn: int) -> int | None:
            return seen.steps(request, most) if seen.by_cells else -(-(request.context.n_ctx or most) // CELL_STEP)

        return _between(fits, guess, most)

    def _measured(self, request: Request, cells: int) -> Estimate:
        request = replace(request, context=replace(request.context, n_ctx=cells))
        model, context, machine = request.model, request.context, request.machine
        compute = ComputeModel(model, context, machine, request.build, fa_quants=request.fa_quants)
        beside = beside_model(request)
        return estimate(model, context, self.assignment, machine, compute=compute, learned=request.learned, beside=beside)


@dataclass(frozen=True)
class OnDevices:
    """Whatever placement a search finds with nothing but the embeddings in RAM; `seen` by how caches are read, a placement
    each."""

    seen: dict[Hashable, dict[Hashable, _Seen]] = field(default_factory=dict, repr=False)

    def largest(self, request: Request, most: int, runs: Hashable, known: int = 0) -> int | None:
        """The most tokens up to `most`, to 256, for which one is found; None where 256 are too many. `known`: tokens that are
        known to fit so."""
        if known >= most > 0:
            return most
        if _too_heavy(request):
            return None
        seen = self.seen.setdefault(_read(request, runs), {})

        def spare(cells: int) -> int:
            best = search(build_problem(replace(request, no_ram=True, context=replace(request.context, n_ctx=cells))))
            if CPU in best.homes or CPU in best.places:
                return -max(best.over_bytes, 1)
            placement = best.homes, best.places
            there = seen.pop(placement, _Seen(best.homes))
            there.note(cells, best.estimate)
            seen[placement] = there
            left = zip(request.capacities, best.estimate.devices, strict=True)
            return -best.over_bytes or sum(max(c - u.used_bytes, 0) for c, u in left)

        if not seen:
            return last(spare, most, known)
        alone = sum(map(bool, request.capacities)) == 1  # what is known to fit there may well be the answer

        def guess(turn: int) -> int | None:
            if known and alone and turn == 1:
                return known // CELL_STEP + 1
            return max([s.steps(request, most) for s in [*seen.values()][-_PLACEMENTS:]])

        return _between(lambda cells: spare(cells) >= 0, guess, most, known // CELL_STEP)


def _between(fits: Callable[[int], bool], guess: Callable[[int], int | None], most: int, low: int = 0) -> int | None:
    """The largest multiple of 256 up to `most` (or `most` itself) that fits; None where there is none. `guess`: steps, from
    all that `fits` saw, a turn's number given; `low` steps are known to fit, or 0."""
    high, turn = -(-most // CELL_STEP) + 1, 0  # does not fit, or is behind the end
    while high - low > 1:
        turn += 1
        guessed = guess(turn) if turn <= _GUESSES or turn % 2 else None
        middle = (low + high) // 2 if guessed is None else min(max(guessed, low + 1), high - 1)
        low, high = (middle, high) if fits(min(middle * CELL_STEP, most)) else (low, middle)
    return min(low * CELL_STEP, most) or None


def _too_heavy(request: Request) -> bool:
    """Whether the weights alone are more than the devices may hold."""
    if request.pins:  # may keep some in RAM
        return False
    return sum([t.n_bytes for t in request.model.tensors if t.loaded and t.block is not None]) > sum(request.capacities)


def _read(request: Request, runs: Hashable) -> Hashable:
    """What of a pair decides its buffers, nearly: guesses start from it, no more."""
    context = request.context
    return runs, *["quantized" if CACHE_TYPES[t].quantized else t for t in (context.type_k, context.type_v)]
