"""The largest contexts of many K/V pairs: what was measured says where the answer is, for one placement other pairs' too.

A pair's caches are known to the byte at every context, and cost little to know; the buffers are what takes time, and are nearly
the same lines over the context for pairs whose caches are read alike. So each guess is the exact answer for buffers on the line
through the two nearest contexts that were measured. What is returned was measured on both sides: it fits, and one step more
does not."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from kvtui.cache.layout import cache_layout
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import CELL_STEP
from kvtui.hardware.device import CPU
from kvtui.memory.amounts import Estimate
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel, Courses, Stretches
from kvtui.memory.estimate import estimate
from kvtui.memory.fits import spare_bytes
from kvtui.placement.context_search import last
from kvtui.placement.request import Request
from kvtui.placement.solve.greedy import refine, spread
from kvtui.placement.solve.problem import Problem, beside_model, build_problem

_LINE = 2  # contexts at which buffers are measured first
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

    def buffers(self, cells: int) -> tuple[int, ...]:
        """Bytes that devices need beside what is placed on them."""
        low, high, share = self._around(cells)
        return tuple(
            [
                a.working_bytes + round((b.working_bytes - a.working_bytes) * share)
                for a, b in zip(low.devices, high.devices, strict=True)
            ]
        )

    def steps(self, request: Request, most: int) -> int:
        """Of the largest context with which it would fit."""

        def spare(cells: int) -> int:
            return spare_bytes(request.machine, request.capacities, self._supposed(request, cells), request.ram_capacity)

        return -(-(last(spare, most) or 0) // CELL_STEP)

    def _supposed(self, request: Request, cells: int) -> Estimate:
        """The pair's caches, and buffers on the line through what is known."""
        low, high, share = self._around(cells)
        cache = self._caches(request, cells)
        devices = [
            replace(a, cache_bytes=n_bytes, compute_bytes=a.compute_bytes + buffers - a.working_bytes)
            for a, n_bytes, buffers in zip(low.devices, cache, self.buffers(cells), strict=False)
        ]
        a_host, b_host = low.host, high.host
        more = round((b_host.compute_bytes + b_host.beside_bytes - a_host.compute_bytes - a_host.beside_bytes) * share)
        host = replace(a_host, cache_bytes=cache[CPU], compute_bytes=a_host.compute_bytes + more)
        return replace(low, devices=tuple(devices), host=host)

    def _around(self, cells: int) -> tuple[Estimate, Estimate, float]:
        """The two measured contexts nearest to a line through `cells`, and where it is on it."""
        known = self.by_cells
        at = min(max(bisect_left(known, cells, key=lambda seen: seen[0]), 1), max(len(known) - 1, 1))
        (at_low, low), (at_high, high) = known[at - 1], known[min(at, len(known) - 1)]
        return low, high, (cells - at_low) / (at_high - at_low) if at_high > at_low else 0.0

    def _caches(self, request: Request, cells: int) -> list[int]:
        """Bytes a device, RAM last."""
        layout = cache_layout(request.model, _at(request, cells).context)
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

        def guess() -> int:
            return seen.steps(request, most) if seen.by_cells else -(-(request.context.n_ctx or most) // CELL_STEP)

        return _between(fits, guess, most)

    def _measured(self, request: Request, cells: int) -> Estimate:
        request = _at(request, cells)
        model, context, machine = request.model, request.context, request.machine
        compute = ComputeModel(model, context, machine, request.build, fa_quants=request.fa_quants, engine=Courses)
        beside = beside_model(request)
        return estimate(model, context, self.assignment, machine, compute=compute, learned=request.learned, beside=beside)


@dataclass(frozen=True)
class OnDevices:
    """Whatever placement is found with nothing but the embeddings in RAM, by whole blocks, or with tensors moved. A
    search can miss what there is: each pair's guesses are its own, so that its answer is."""

    only: list[InPlace] = field(default_factory=list, repr=False)  # the one placement that there is on one device

    def largest(self, request: Request, most: int, runs: Hashable, known: int = 0) -> int | None:
        """The most tokens up to `most`, to 256, for which one is found; None where 256 are too many. `known`: tokens that are
        known to fit so."""
        if known >= most > 0:
            return most
        if _too_heavy(request):
            return None
        request = replace(request, no_ram=True)
        if sum(map(bool, request.capacities)) == 1 and not request.pins:
            self.only.extend(() if self.only else [InPlace(_all_there(request))])
            return self.only[0].largest(request, most, runs)
        ways = [_Way(_Blocks.of(request, whole), whole) for whole in (True, False)]

        def fits(cells: int) -> bool:
            problem = build_problem(_at(request, cells), engine=Stretches)
            return any(way.fits(problem) for way in sorted(ways, key=lambda w: -w.reached))

        def guess() -> int:
            known = [way for way in ways if way.seen.by_cells]
            if not known:
                return -(-(request.context.n_ctx or most) // CELL_STEP)
            return max([way.steps(request, most) for way in known])

        return _between(fits, guess, most, known // CELL_STEP)


@dataclass
class _Way:
    """Of finding a placement: by whole blocks, or with tensors moved. `reached`, `failed`: contexts; `left`, `over`: bytes
    that were free and that lacked there, None where no placement was found at all."""

    blocks: "_Blocks"
    whole: bool
    reached: int = 0
    left: int = 0
    failed: int | None = None
    over: int | None = None
    seen: _Seen = field(default_factory=lambda: _Seen(()))

    def fits(self, problem: Problem) -> bool:
        """Whether one is found; more than what failed is not tried."""
        cells = problem.request.context.n_ctx
        if self.failed is not None and cells >= self.failed:
            return False
        if len(self.seen.by_cells) < _LINE:
            self.seen.note(cells, spread(problem, whole_blocks=self.whole).estimate)
        found = refine(problem, whole_blocks=self.whole, known=self.seen.buffers(cells))
        if found is None or found.over_bytes:
            self.failed, self.over = cells, None if found is None else found.over_bytes
            return False
        self.seen.note(cells, found.estimate)
        used = sum([use.used_bytes for use in found.estimate.devices])
        self.reached, self.left = cells, max(sum(problem.request.capacities) - used, 0)
        return True

    def steps(self, request: Request, most: int) -> int:
        """Of the context up to which one may be found: by what lacked last, or by what has room beside the buffers seen."""
        if self.failed is not None and self.over is not None and self.reached:
            share = self.left / max(self.left + self.over, 1)
            return int(self.reached + (self.failed - self.reached) * share) // CELL_STEP
        return _steps(request, self.seen, self.blocks, most)


def _at(request: Request, cells: int) -> Request:
    """The same at another context."""
    return replace(request, context=replace(request.context, n_ctx=cells))


@dataclass(frozen=True)
class _Blocks:
    """What blocks take but for their caches, one behind the other: whole ones, or each without what may move."""

    fixed: tuple[int, ...]
    loose: int  # bytes that may move

    @staticmethod
    def of(request: Request, whole: bool) -> "_Blocks":
        problem = build_problem(_at(request, CELL_STEP))
        caches = [x.cache_bytes + x.state_bytes for x in problem.layout.layers] if request.context.offload_kqv else []
        fixed = [n - cache for n, cache in zip_longest(problem.home_bytes, caches, fillvalue=0)]
        if whole:
            return _Blocks(tuple([n + more for n, more in zip(fixed, problem.movable_bytes, strict=True)]), 0)
        return _Blocks(tuple(fixed), sum(problem.movable_bytes))

    def spare(self, request: Request, rooms: Sequence[int]) -> int:
        """Bytes left over, negative where `rooms`, in the order of blocks, do not hold them."""
        layers = cache_layout(request.model, request.context).layers if request.context.offload_kqv else ()
        caches = [x.cache_bytes + x.state_bytes for x in layers]
        left, rest = list(rooms), sum(rooms) - self.loose
        device = 0
        for weights, cache in zip_longest(self.fixed, caches, fillvalue=0):
            while device < len(left) and left[device] < weights + cache:
                device += 1
            if device == len(left):
                return -weights - cache
            left[device] -= weights + cache
            rest -= weights + cache
        return rest


def _steps(request: Request, seen: _Seen, blocks: _Blocks, most: int) -> int:
    """Of the context up to which `blocks` have room beside buffers on the line through those that were seen."""

    def spare(cells: int) -> int:
        buffers = seen.buffers(cells)
        opened = request.opened or range(len(buffers))
        return blocks.spare(_at(request, cells), [request.capacities[d] - buffers[d] for d in opened])

    return -(-(last(spare, most) or 0) // CELL_STEP)


def _all_there(request: Request) -> Assignment:
    """Everything on the one device that may be used."""
    problem = build_problem(request, engine=Stretches)
    device = next(i for i, n_bytes in enumerate(request.capacities) if n_bytes)
    return problem.assignment((device,) * len(problem.home_bytes), (device,) * len(problem.movables))


def _between(fits: Callable[[int], bool], guess: Callable[[], int], most: int, low: int = 0) -> int | None:
    """The largest multiple of 256 up to `most` (or `most` itself) that fits; None where there is none. `guess`: steps, from
    all that `fits` saw; `low` steps are known to fit, or 0."""
    high, turn = -(-most // CELL_STEP) + 1, 0  # does not fit, or is behind the end
    crept = False
    while high - low > 1:
        turn += 1
        guessed = guess() if turn <= _GUESSES or turn % 2 else None
        crept = guessed is not None and guessed <= low and not crept  # one step more may settle it
        if guessed is None or (guessed <= low and not crept):
            middle = (low + high) // 2
        else:
            middle = min(max(guessed, low + 1), high - 1)
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
