"""A quick plan: blocks on devices by dynamic programming under prices, then movable tensors by knapsack.

Prices are the value of a byte on each device, from the fractional solution. Everything works to a fixed amount, so that
the same request gives the same answer."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import Candidate, evaluate, pick
from kvtui.placement.solve.fractional import prices
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Movable, Problem

_ROUNDS = 6  # compute buffers depend on the plan: plan, measure, plan again
_CLASS_LIMIT = 4000  # combinations of tensor sizes that are tried for one device
_ROUNDING = 1e-12  # relative: sums of doubles in another order differ by less


def search(problem: Problem) -> Candidate:
    """The best of the plans that fit; if none does, the one that lacks least."""
    found = [c for plain in (True, False) if (c := refine(problem, whole_blocks=plain)) is not None]
    return pick(found or [in_ram(problem)])


def in_ram(problem: Problem) -> Candidate:
    """Everything in RAM."""
    return evaluate(problem, (CPU,) * len(problem.home_bytes), (CPU,) * len(problem.movables))


def placed(problem: Problem, reserve: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(homes, places) where devices keep `reserve` bytes free; None where the blocks have no room. Their memory is not
    measured."""
    rooms = [cap - pinned - r for cap, pinned, r in zip(problem.request.capacities, problem.pinned_bytes, reserve, strict=False)]
    homes = _homes(problem, rooms, whole_blocks=False)
    return None if homes is None else (homes, _places(problem, homes, rooms))


def spread(problem: Problem, *, whole_blocks: bool) -> Candidate:
    """Blocks over all devices that are opened, as much on each as it has room: whole ones, or with a tensor moved. It need not
    fit: it shows the buffers of plans that use all."""
    devices = [d for d in problem.order if problem.request.capacities[d]]
    ends = list(accumulate([problem.request.capacities[d] for d in devices]))
    sizes = list(accumulate([a + b for a, b in zip(problem.home_bytes, problem.movable_bytes, strict=True)]))
    homes = [devices[bisect_left(ends, size / sizes[-1] * ends[-1], hi=len(ends) - 1)] for size in sizes]
    places = [homes[m.block] for m in problem.movables]
    if not whole_blocks and places and len(devices) > 1:
        places[-1] = next(d for d in devices if d != places[-1])
    return evaluate(problem, homes, places)


def refine(problem: Problem, *, whole_blocks: bool, known: Sequence[int] = ()) -> Candidate | None:
    """Plans against a reserve for compute buffers, measures the buffers, and plans again. `known`: buffers of such a plan, a
    device each: the first that fits is taken then, and where nothing has room beside them there is none."""
    reserve = list(known or [0] * len(problem.request.machine.devices))
    best: Candidate | None = None
    for _ in range(_ROUNDS):
        rooms = [
            cap - pinned - r for cap, pinned, r in zip(problem.request.capacities, problem.pinned_bytes, reserve, strict=False)
        ]
        homes = _homes(problem, rooms, whole_blocks=whole_blocks)
        if homes is None:
            if best is None and not known and max(reserve, default=0) > 0:
                reserve = [r // 2 for r in reserve]
                continue
            return best
        places = tuple(homes[m.block] for m in problem.movables) if whole_blocks else _places(problem, homes, rooms)
        candidate = evaluate(problem, homes, places)
        if best is None or _better(candidate, best):
            best = candidate
        lacking = [
            (use.used_bytes - cap if use.used_bytes else 0)
            for use, cap in zip(candidate.estimate.devices, problem.request.capacities, strict=True)
        ]
        needed = [use.working_bytes for use in candidate.estimate.devices]
        if not candidate.over_bytes and (known or all(n >= r for n, r in zip(needed, reserve, strict=True))):
            return best
        before = reserve
        reserve = [max(n, r + max(lack, 0)) if lack > 0 else n for n, r, lack in zip(needed, reserve, lacking, strict=True)]
        if reserve == before:  # what was planned would be planned again
            return best
    return best


def _better(a: Candidate, b: Candidate) -> bool:
    return (a.over_bytes, a.score.seconds) < (b.over_bytes, b.score.seconds)


def _homes(problem: Problem, rooms: Sequence[float], *, whole_blocks: bool) -> tuple[int, ...] | None:
    """Blocks on RAM first, then contiguous on devices in their order: the cheapest under prices, each within its room.

    `whole_blocks`: a block's movable tensors stay with it, and RAM takes no block unless there is no device."""
    speed = problem.seconds_per_byte
    price = [0.0] * (len(rooms) + 1) if whole_blocks else prices(problem, rooms)
    n = len(problem.home_bytes)
    total_size, spent = [0], [[0.0] for _ in speed]  # of the first i blocks: bytes, and seconds on each place
    for i in range(n):
        moving = (problem.movable_bytes[i], problem.movable_read[i]) if whole_blocks else (0, 0.0)
        total_size.append(total_size[-1] + problem.home_bytes[i] + moving[0])
        for so_far, seconds, pace in zip(spent, problem.home_seconds[i], speed, strict=True):
            so_far.append(so_far[-1] + seconds + moving[1] * pace)
    infinite = float("inf")
    # best[i]: cost of the first i blocks on RAM and the devices so far; from[d][i]: where the last device's run begins
    best = list(spent[CPU])
    if not problem.ram_is_home:
        best = [0.0] + [infinite] * n
    lives = problem.pinned_homes
    elsewhere = next((i for i, home in enumerate(lives) if home not in (None, CPU)), n)
    best[elsewhere + 1 :] = [infinite] * (n - elsewhere)
    starts: list[list[int]] = []
    for d in problem.order:
        room, here = rooms[d], spent[d]
        nxt = list(best)
        start = list(range(n + 1))
        for end in range(1, n + 1):
            for begin in range(end - 1, -1, -1):
                held = total_size[end] - total_size[begin]
                if held > room or lives[begin] not in (None, d):
                    break
                if best[begin] == infinite:
                    continue
                cost = best[begin] + here[end] - here[begin] + held * price[d]
                cost += HANDOFF_SECONDS * (begin > 0)
                if cost < nxt[end]:
                    nxt[end], start[end] = cost, begin
        starts.append(start)
        best = nxt
    if best[n] == infinite:
        return None
    homes = [CPU] * n
    end = n
    for d, start in zip(reversed(problem.order), reversed(starts), strict=True):
        begin = start[end]
        for i in range(begin, end):
            homes[i] = d
        end = begin
    if whole_blocks and CPU in homes:
        return None
    return tuple(homes)


def _places(problem: Problem, homes: Sequence[int], rooms: Sequence[float]) -> tuple[int, ...]:
    """A device a movable: the fastest device is filled first, from its own blocks where that is as good."""
    left = [float(r) for r in rooms]
    for size, home in zip(problem.home_bytes, homes, strict=True):
        if home != CPU:
            left[home] -= size
    speed = problem.seconds_per_byte
    places = [CPU] * len(problem.movables)
    open_items = list(range(len(problem.movables)))
    ram_left = problem.request.ram_capacity
    order = sorted((d for d in range(len(rooms)) if speed[d] < speed[CPU] or problem.request.no_ram), key=lambda d: speed[d])
    for d in order:
        chosen = _fill(problem, homes, d, left[d], open_items)
        for i in chosen:
            places[i] = d
        taken = set(chosen)
        open_items = [i for i in open_items if i not in taken]
    # RAM too small: the rest goes wherever there is room
    in_ram = sum(problem.movables[i].n_bytes for i in open_items)
    if in_ram > ram_left:
        for d in range(len(rooms)):
            if d not in order:
                for i in _fill(problem, homes, d, left[d], open_items):
                    places[i] = d
    return tuple(places)


def _fill(problem: Problem, homes: Sequence[int], device: int, room: float, items: Sequence[int]) -> list[int]:
    """The movables for one device: how many of each size is a small knapsack, which ones is by what saves hand-offs."""
    movables = problem.movables
    speed = problem.seconds_per_byte
    gain = speed[CPU] - speed[device]
    classes: dict[tuple[int, float], list[int]] = {}
    for i in items:
        classes.setdefault((movables[i].n_bytes, movables[i].read), []).append(i)
    kinds = sorted(classes, key=lambda c: (-c[1] / max(c[0], 1), -c[0]))
    counts = _knapsack([(size, read * gain, len(classes[size, read])) for size, read in kinds], room)
    complete = _block_counts(movables, items)
    chosen: list[int] = []
    touched: dict[int, int] = {}
    for kind, count in zip(kinds, counts, strict=True):
        pool = sorted(
            classes[kind],
            key=lambda i: (
                homes[movables[i].block] != device,
                -touched.get(movables[i].block, 0),
                complete[movables[i].block],
                movables[i].block,
            ),
        )
        for i in pool[:count]:
            chosen.append(i)
            touched[movables[i].block] = touched.get(movables[i].block, 0) + 1
    return chosen


def _block_counts(movables: Sequence[Movable], items: Sequence[int]) -> dict[int, int]:
    """Open movables a block."""
    counts: dict[int, int] = {}
    for i in items:
        counts[movables[i].block] = counts.get(movables[i].block, 0) + 1
    return counts


def _knapsack(kinds: Sequence[tuple[int, float, int]], room: float) -> list[int]:
    """How many of each (bytes, value, available) to take within `room`: greedy, then exchanges between two kinds."""
    counts, left = [], room
    for size, _, available in kinds:
        take = min(available, int(left // size)) if left > 0 and size > 0 else 0
        counts.append(take)
        left -= take * size
    best = _value(kinds, counts)
    tried = 0
    for a, (size_a, _, _) in enumerate(kinds):
        for b, (size_b, _, available_b) in enumerate(kinds):
            if a == b:
                continue
            base_a, base_b = counts[a], counts[b]
            room_here = left + base_a * size_a + base_b * size_b
            for take_a in range(base_a, -1, -1):
                tried += 1
                if tried > _CLASS_LIMIT:
                    return counts
                take_b = min(available_b, int((room_here - take_a * size_a) // size_b)) if size_b else 0
                trial = list(counts)
                trial[a], trial[b] = take_a, take_b
                value = _value(kinds, trial)
                if value > best * (1 + _ROUNDING):
                    best, counts = value, trial
                    left = room - sum(n * k[0] for n, k in zip(counts, kinds, strict=True))
    return counts


def _value(kinds: Sequence[tuple[int, float, int]], counts: Sequence[int]) -> float:
    return sum(n * value for n, (_, value, _) in zip(counts, kinds, strict=True))
