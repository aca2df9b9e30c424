"""The first answer: greedy for a start, prices and a bound by relaxation, then rounding; to a fixed amount of work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from kvtui.base.collection import collection_paused
from kvtui.hardware.device import CPU
from kvtui.placement.solve import fractional, greedy
from kvtui.placement.solve.candidate import Candidate, evaluate, pick
from kvtui.placement.solve.menu import Floats, Menu, block_places, build_menu, usable
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem
from kvtui.placement.solve.relax import Relaxed, Rooms, block_costs, bound_at, relax
from kvtui.placement.solve.rounding import fill
from kvtui.placement.solve.yardstick import score

_INFINITE = float("inf")
_STEPS = (60, 20, 20, 20)  # of the bound, a round: compute buffers depend on the plan: plan, measure, plan again
_WORTH = 3e-4  # of a plan's seconds: room for less is no reason for another round
_BELOW = 0.98  # of the prices: where all bytes are equally dense a block costs the same anywhere, and the device wins the tie
_SHIFTS = (1, 2, 4, 8)  # boundaries between devices are tried so many blocks to either side
_MOST_HOMES = 16  # homes that are tried in a round


@dataclass(frozen=True)
class Reserve:
    """Compute bytes a device takes when it runs blocks, and when it only holds tensors; and what RAM holds in any case."""

    home: tuple[int, ...]
    other: tuple[int, ...]
    host: int

    def least(self, other: "Reserve") -> "Reserve":
        """What both agree is needed."""
        home, rest = tuple(map(min, self.home, other.home)), tuple(map(min, self.other, other.other))
        return Reserve(home, rest, min(self.host, other.host))


@dataclass(frozen=True)
class Found:
    """The best plan and what is known of its distance to the best there is. `bound`: seconds a token, 0 where none is known."""

    best: Candidate
    bound: float
    reserve: Reserve | None
    prices: tuple[float, ...] = ()


def search(problem: Problem) -> Found:
    """The best of the plans that fit; if none does, the one that lacks least."""
    with collection_paused():
        return _refined(problem) or _from_greedy(problem)


def _from_greedy(problem: Problem) -> Found:
    """From a plan that was measured until it fits, or until it is known that none does."""
    start = greedy.search(problem)
    if start.over_bytes or not problem.request.machine.devices:
        return Found(start, 0.0, None)
    return _refined(problem, start) or Found(start, 0.0, None)


def _refined(problem: Problem, start: Candidate | None = None) -> Found | None:
    """Prices and whole tensors, from `start`, or where none is given from what buffers a first guess would need: measuring is
    what takes time. None where no plan was seen to fit."""
    if not problem.request.machine.devices:
        return None
    known = [start] if start is not None else []
    if start is None and (whole := greedy.refine(problem, whole_blocks=True)) is not None and not whole.over_bytes:
        known = [whole]
    seed = known[0] if known else _guess(problem)
    if seed is None:
        return None
    menu = build_menu(problem)
    reserve, prices, bound = first_reserve(problem, seed), list[float](), 0.0
    for steps in _STEPS:
        rooms = rooms_of(problem, reserve)
        near = _near(problem, known, reserve)
        if near is None:
            return None
        homes, seconds = near
        relaxed = relax(menu, rooms, seconds, prices or first_prices(problem, rooms), steps)
        prices = relaxed.prices.tolist()
        candidates = [evaluate(problem, *found) for found in _rounded(menu, rooms, relaxed, homes)]
        known = [pick([*known, *fitting])] if (fitting := [c for c in candidates if not c.over_bytes]) or known else []
        seen = learned(reserve, candidates or known)
        least = rooms_of(problem, reserve.least(seen))
        bound, reserve = bound_at(menu, least, relaxed.prices), seen
        if fitting and min(c.score.seconds for c in known) <= max(bound, relaxed.bound) * (1 + _WORTH):
            break
        if (fitting or not candidates) and relaxed.bound - bound_at(menu, rooms_of(problem, seen), relaxed.prices) <= (
            _WORTH * seconds
        ):
            break
    if not known:
        return None
    best = known[0]
    return Found(best, min(bound, best.score.seconds) if menu.whole else 0.0, reserve, tuple(prices))


def _guess(problem: Problem) -> Candidate | None:
    """What the devices hold if they needed no buffers but for the largest tensor that is staged: for measuring those."""
    reserve = [0] * len(problem.request.machine.devices)
    if sum(problem.home_bytes) + sum(problem.movable_bytes) > sum(problem.request.capacities) and _stages(problem):
        reserve[problem.order[0]] = max((m.n_bytes for m in problem.movables), default=0)
    found = greedy.placed(problem, reserve)
    return None if found is None else evaluate(problem, *found)


def _near(problem: Problem, known: Sequence[Candidate], reserve: Reserve) -> tuple[tuple[int, ...], float] | None:
    """(homes, seconds a token) of a plan that fits, or would by `reserve`."""
    if known:
        return known[0].homes, known[0].score.seconds
    buffers = [max(pair) for pair in zip(reserve.home, reserve.other, strict=True)]
    found = greedy.placed(problem, buffers)
    return None if found is None else (found[0], score(problem, *found).seconds)


def first_prices(problem: Problem, rooms: Rooms) -> list[float]:
    """Those of the problem whose bytes may be cut anywhere."""
    return fractional.prices(problem, rooms.free[:-1].tolist())


def rooms_of(problem: Problem, reserve: Reserve) -> Rooms:
    """What the devices and RAM have left for what can be chosen."""
    free = [
        float(cap - pinned - buffers) if ok else 0.0
        for cap, pinned, buffers, ok in zip(
            problem.request.capacities, problem.pinned_bytes, reserve.other, usable(problem), strict=False
        )
    ]
    free.append(float(problem.request.ram_capacity - reserve.host))
    extra = [float(h - o) for h, o in zip(reserve.home, reserve.other, strict=True)] + [0.0]
    return Rooms(np.array(free), np.array(extra))


def first_reserve(problem: Problem, start: Candidate) -> Reserve:
    """Measured where `start` shows it; a device of the other state is taken from one of that state. What is staged on the
    device opened first, the largest tensor in RAM at the least, is apart from that."""
    used = set(start.homes)
    measured = [use.working_bytes for use in start.estimate.devices]
    plain = list(measured)
    staged = _staged(problem, start)
    first = problem.order[0]
    plain[first] = max(measured[first] - staged, 0)
    homes = [m for d, m in enumerate(plain) if d in used and d != first] or [plain[d] for d in used if d == first]
    others = [m for d, m in enumerate(plain) if d not in used and d != first and m]
    most = max(others or homes or [0])
    more = [staged if d == first else 0 for d in range(len(measured))]
    home = tuple(m if d in used else max(homes, default=plain[d]) + more[d] for d, m in enumerate(measured))
    other = tuple(max(m, most) if d not in used and m else most + more[d] for d, m in enumerate(measured))
    return Reserve(home, other, start.estimate.host.used_bytes - start.ram_choice_bytes)


def _stages(problem: Problem) -> bool:
    return problem.compute.derived and problem.request.context.op_offload


def _staged(problem: Problem, c: Candidate) -> int:
    """Bytes of the largest tensor that the device opened first takes from RAM."""
    if not _stages(problem):
        return 0
    return max((m.n_bytes for m, place in zip(problem.movables, c.places, strict=True) if place == CPU), default=0)


def learned(reserve: Reserve, candidates: Sequence[Candidate]) -> Reserve:
    """The reserve with what the last candidates' buffers were; a plan that was over teaches the larger figure."""
    home, other = list(reserve.home), list(reserve.other)
    for c in candidates:
        used = set(c.homes)
        for d, use in enumerate(c.estimate.devices):
            known = home if d in used else other
            if use.working_bytes:
                known[d] = max(known[d], use.working_bytes) if c.over_bytes else use.working_bytes
    return replace(reserve, home=tuple(home), other=tuple(other))


def _rounded(
    menu: Menu, rooms: Rooms, relaxed: Relaxed, near: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(homes, places) of the best roundings: homes at the prices, those known, and their boundaries moved a little."""
    tried: dict[tuple[int, ...], float] = {}
    answers: dict[tuple[int, ...], tuple[int, ...]] = {}

    costs = block_costs(menu, relaxed.prices).tolist()
    entry = (rooms.home_extra * relaxed.prices).tolist()
    rest = menu.constant - float(relaxed.prices @ rooms.free)

    def least(homes: tuple[int, ...]) -> float:
        """Seconds a token that no plan with these homes beats, as far as `tried` counts them."""
        columns = [menu.column(home) for home in homes]
        total = sum(costs[kind][p] for kind, p in zip(menu.kind_of, columns, strict=True))
        changes = sum(a != b for a, b in pairwise(homes))
        entries = sum(entry[p] for p in set(columns))
        return float(total + entries + HANDOFF_SECONDS * changes + rest - menu.constant)

    def attempt(homes: tuple[int, ...]) -> None:
        if homes in tried:
            return
        tried[homes] = float("inf")
        if answers and least(homes) >= min(tried.values()):
            return
        chosen = fill(menu, homes, rooms, relaxed.prices)
        if chosen is None:
            return
        seconds = sum(
            menu.kinds[kind].cost[option, p] * count for (kind, p), options in chosen.items() for option, count in options
        )
        changes = sum(a != b for a, b in pairwise(homes))
        tried[homes] = float(seconds) + HANDOFF_SECONDS * changes
        answers[homes] = block_places(menu, homes, chosen)

    starts = [relaxed.homes, relaxed.mean_homes, near]
    starts += [h for whole in (False, True) if (h := capped_homes(menu, rooms, relaxed.prices * _BELOW, whole=whole)) is not None]
    for homes in starts:
        attempt(homes)
    moved = True
    while answers and moved:
        lead = min(answers, key=lambda h: tried[h])
        for homes in sorted(_shifted(lead), key=least):
            if len(tried) < _MOST_HOMES:
                attempt(homes)
        moved = tried[lead] > min(tried.values()) and len(tried) < _MOST_HOMES
    if answers:
        first = min(answers, key=lambda h: tried[h])
        yield first, answers[first]


def _shifted(homes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The same homes with one boundary moved."""
    for i in range(1, len(homes)):
        if homes[i] != homes[i - 1]:
            for n in _SHIFTS:
                if i + n < len(homes) and homes[i + n] == homes[i]:
                    yield (*homes[:i], *[homes[i - 1]] * n, *homes[i + n :])
                if i - n > 0 and homes[i - n] == homes[i - 1]:
                    yield (*homes[: i - n], *[homes[i]] * n, *homes[i:])


def capped_homes(menu: Menu, rooms: Rooms, prices: Floats, *, whole: bool) -> tuple[int, ...] | None:
    """Homes at the prices, as `cheapest_homes`, but no device gets more than it has room for: of fixed bytes, or of what
    whole blocks would put there."""
    costs = block_costs(menu, prices)
    n = len(menu.kind_of)
    best = running(costs[:, -1], menu)
    starts: list[list[int]] = []
    for d in menu.problem.order:
        total = running(costs[:, d], menu)
        if total[-1] == _INFINITE:  # nothing may live there
            starts.append(list(range(n + 1)))
            continue
        size = [float(k.home_bytes) for k in menu.kinds]
        if whole:
            size = [
                s + float(k.held[(k.cost[:, d] + k.held @ prices).argmin(), d]) for s, k in zip(size, menu.kinds, strict=True)
            ]
        sizes = running(np.array(size), menu)
        room, entry = float(rooms.free[d] - rooms.home_extra[d]), float(rooms.home_extra[d] * prices[d])
        nxt, start = list(best), list(range(n + 1))
        least_begin = 0
        front: list[tuple[float, int]] = []  # where the run may begin, what costs least first: a window that slides
        for end in range(1, n + 1):
            begin = end - 1
            if best[begin] < _INFINITE:
                key = best[begin] - total[begin] + (HANDOFF_SECONDS if begin else 0.0)
                while front and front[-1][0] >= key:
                    front.pop()
                front.append((key, begin))
            while sizes[end] - sizes[least_begin] > room and least_begin < end:
                least_begin += 1
            while front and front[0][1] < least_begin:
                front.pop(0)
            if front:
                cost = front[0][0] + total[end] + entry
                if cost < nxt[end]:
                    nxt[end], start[end] = cost, front[0][1]
        starts.append(start)
        best = nxt
    if best[n] == _INFINITE:
        return None
    homes, end = [CPU] * n, n
    for d, start in zip(reversed(menu.problem.order), reversed(starts), strict=True):
        begin = start[end]
        homes[begin:end] = [d] * (end - begin)
        end = begin
    return tuple(homes)


def running(per_kind: Floats, menu: Menu) -> list[float]:
    """Sums over the first blocks of a figure that each kind has."""
    return [0.0, *accumulate(per_kind.tolist()[kind] for kind in menu.kind_of)]
