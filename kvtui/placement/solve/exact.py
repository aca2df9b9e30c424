"""The exact answer: a mixed integer program, solved by HiGHS.

Home of each block in device order (RAM first), and how many blocks of each kind take which way to spread their tensors;
capacities with compute buffers, hand-offs priced. What the bound rules out is left out. Works to a fixed number of nodes,
to a time, or until it is proven, and can be cancelled."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kvtui.base.sizes import MIB
from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import Candidate, evaluate, pick
from kvtui.placement.solve.highs import Program, run_apart, run_here
from kvtui.placement.solve.menu import Menu, block_places, build_menu, usable
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem
from kvtui.placement.solve.relax import Relaxed, Rooms, block_costs, relax
from kvtui.placement.solve.search import Found, first_prices, first_reserve, learned, rooms_of

_WORK = 2_000_000  # variables times nodes of the solver's tree: a fixed amount of work, whatever the machine's speed
_GAP = 1e-4  # relative, at which a plan counts as proven
_SMALL = 120  # variables: solved within a tenth of a second, so here, and at once
_SCALE = 1e3  # seconds to milliseconds, MiB for bytes: numbers a solver likes


@dataclass
class _Rows:
    """A sparse constraint matrix under construction."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    start: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, lower: float, upper: float, terms: Sequence[tuple[int, float]]) -> None:
        """One row: lower <= sum of coefficient x variable <= upper."""
        self.lower.append(lower)
        self.upper.append(upper)
        for i, v in terms:
            self.index.append(i)
            self.value.append(v)
        self.start.append(len(self.index))


@dataclass(frozen=True)
class _Variables:
    """Where each kind of variable is. A position p counts along `Menu.order`, in which blocks follow each other."""

    blocks: int
    positions: int
    options: tuple[tuple[int, int, int], ...]  # (kind, column of the home, option)

    def y(self, block: int, p: int) -> int:
        """1 if the block's home is at position p or before; p < positions - 1."""
        return block * (self.positions - 1) + p

    def w(self, p: int) -> int:
        """1 if any block's home is at position p."""
        return self.blocks * (self.positions - 1) + p

    def n(self, i: int) -> int:
        """How many blocks take option i."""
        return self.w(self.positions) + i

    @property
    def count(self) -> int:
        """How many there are."""
        return self.n(len(self.options))

    def home(self, block: int, p: int) -> tuple[list[tuple[int, float]], float]:
        """Whether the block's home is at p, y(p) - y(p-1): (terms, constant)."""
        terms = [(self.y(block, p), 1.0)] if p < self.positions - 1 else []
        constant = 0.0 if terms else 1.0
        return terms + ([(self.y(block, p - 1), -1.0)] if p else []), constant


@dataclass(frozen=True)
class Effort:
    """How long to go on: all of it a fixed amount of work where no `deadline` (of time.monotonic) is given. `most_variables`:
    larger programs are left alone. `nodes_work`: variables times nodes of the solver's tree, None: until it is solved."""

    most_variables: int | None = None
    nodes_work: int | None = _WORK
    deadline: float | None = None
    rounds: int = 3  # compute buffers follow the plan: solve, measure, solve again


AT_ONCE = Effort(most_variables=_SMALL)
A_LITTLE = Effort(most_variables=2 * _SMALL, nodes_work=2 * _SMALL, rounds=2)  # little more than the root of the tree
PROVE = Effort(nodes_work=None, rounds=10)


def solve(
    problem: Problem,
    first: Found,
    effort: Effort = PROVE,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> tuple[Found, bool]:
    """(the best plan found, whether it is proven). `first` is where it starts and the least it gives back; `progress` hears
    the best plan's seconds a token and the bound."""
    best, proven, bound = first.best, False, first.bound
    if best.over_bytes or not any(problem.request.capacities):  # in RAM, where nothing can be chosen
        return first, False
    menu = build_menu(problem)
    reserve = first.reserve or first_reserve(problem, best)
    prices: Sequence[float] = first.prices
    for _ in range(effort.rounds):
        rooms = rooms_of(problem, reserve)
        relaxed = relax(menu, rooms, best.score.seconds, prices or first_prices(problem, rooms))
        prices = relaxed.prices.tolist()
        answer = _solve(menu, rooms, relaxed, best, effort, should_stop, progress)
        if answer is None:
            break
        homes, places, least = answer
        candidate = evaluate(problem, homes, places)
        if not candidate.over_bytes:
            best = pick([best, candidate])
        bound = max(least, relaxed.bound)
        proven = menu.whole and not candidate.over_bytes and best.score.seconds <= bound * (1 + 2 * _GAP)
        seen = learned(reserve, [candidate])
        if proven or seen == reserve or _over(effort, should_stop):
            break
        reserve = seen
    bound = min(bound, best.score.seconds) if menu.whole else 0.0
    return replace(first, best=best, bound=bound, reserve=reserve, prices=tuple(prices)), proven


def _over(effort: Effort, should_stop: Callable[[], bool] | None) -> bool:
    late = effort.deadline is not None and time.monotonic() >= effort.deadline
    return late or (should_stop is not None and should_stop())


def _solve(
    menu: Menu,
    rooms: Rooms,
    relaxed: Relaxed,
    start: Candidate,
    effort: Effort,
    should_stop: Callable[[], bool] | None,
    progress: Callable[[float, float], None] | None,
) -> tuple[tuple[int, ...], tuple[int, ...], float] | None:
    """(homes, places, lower bound in seconds a token)."""
    v = _Variables(len(menu.kind_of), menu.places, _options(menu, relaxed, start))
    if effort.most_variables is not None and v.count > effort.most_variables:
        return None
    cost, integer, upper = _objective(menu, v)
    rows = _constraints(menu, v, rooms)
    guess = _values(menu, v, start)
    program = Program(cost, integer, upper, rows.lower, rows.upper, rows.start, rows.index, rows.value, guess)
    nodes = None if effort.nodes_work is None else effort.nodes_work // v.count

    def seconds(bound: float) -> float:
        return bound / _SCALE + menu.constant - HANDOFF_SECONDS  # the first home is no change

    def heard(bound: float) -> None:
        if progress is not None:
            progress(start.score.seconds, max(seconds(bound), relaxed.bound))

    if v.count <= _SMALL:
        answer = run_here(program, nodes)
    else:
        answer = run_apart(program, nodes, effort.deadline, should_stop, heard)
    if not answer.values:
        return None
    return *_read(menu, v, answer.values), seconds(answer.bound)


def _options(menu: Menu, relaxed: Relaxed, start: Candidate) -> tuple[tuple[int, int, int], ...]:
    """Options that a plan better than `start` may take: taking one costs at least as much more than the bound as it costs
    more than the cheapest for a block with that home."""
    spare = start.score.seconds - relaxed.bound
    least = block_costs(menu, relaxed.prices)
    used = set(_start_options(menu, start))
    found = []
    for k, kind in enumerate(menu.kinds):
        priced = kind.held @ relaxed.prices
        for p in range(menu.places):
            if not np.isfinite(least[k, p]):
                continue
            excess = kind.cost[:, p] + priced + kind.home_bytes * relaxed.prices[p] - least[k, p]
            for o in range(len(kind.spread)):
                if excess[o] <= spare or (k, p, o) in used:
                    found.append((k, p, o))
    return tuple(found)


def _start_options(menu: Menu, start: Candidate) -> list[tuple[int, int, int]]:
    """(kind, column of the home, option) a block of a candidate, in the order of blocks."""
    index = [{option: o for o, option in enumerate(kind.spread)} for kind in menu.kinds]
    at = [{b: i for i, b in enumerate(kind.blocks)} for kind in menu.kinds]
    out = []
    for block, (k, home) in enumerate(zip(menu.kind_of, start.homes, strict=True)):
        members = menu.kinds[k].members[at[k][block]]
        option = tuple(tuple(sorted(menu.column(start.places[t]) for t in tensors)) for tensors in members)
        out.append((k, menu.column(home), index[k].get(option, -1)))
    return out


def _objective(menu: Menu, v: _Variables) -> tuple[list[float], list[bool], list[float]]:
    """(cost, integrality, upper bound) a variable; milliseconds."""
    cost, integer, upper = [0.0] * v.count, [False] * v.count, [1.0] * v.count
    for i in range(v.blocks * (v.positions - 1)):
        integer[i] = True
    open_ = usable(menu.problem)
    for p, place in enumerate(menu.order):
        cost[v.w(p)] = HANDOFF_SECONDS * _SCALE
        upper[v.w(p)] = 1.0 if open_[place] else 0.0
    for i, (k, home, option) in enumerate(v.options):
        cost[v.n(i)] = float(menu.kinds[k].cost[option, home]) * _SCALE
        integer[v.n(i)] = True
        upper[v.n(i)] = float(len(menu.kinds[k].blocks))
    return cost, integer, upper


def _constraints(menu: Menu, v: _Variables, rooms: Rooms) -> _Rows:
    rows, infinite = _Rows(), float("inf")
    last = v.positions - 1
    for block in range(v.blocks):
        for p in range(last - 1):
            rows.add(0.0, infinite, [(v.y(block, p + 1), 1.0), (v.y(block, p), -1.0)])
        if block + 1 < v.blocks:
            for p in range(last):
                rows.add(0.0, infinite, [(v.y(block, p), 1.0), (v.y(block + 1, p), -1.0)])
        for p in range(v.positions):  # w >= home
            terms, constant = v.home(block, p)
            rows.add(constant, infinite, [(v.w(p), 1.0), *((i, -c) for i, c in terms)])
    for p, place in enumerate(menu.order):
        if rooms.home_extra[place] < 0:  # w <= homes: room that a device has once it runs blocks
            lives: dict[int, float] = {}
            total = 0.0
            for block in range(v.blocks):
                terms, constant = v.home(block, p)
                total += constant
                for index, sign in terms:
                    lives[index] = lives.get(index, 0.0) + sign
            rows.add(-total, infinite, [*lives.items(), (v.w(p), -1.0)])
    rows.add(1.0, infinite, [(v.w(p), 1.0) for p in range(v.positions)])
    grouped: dict[tuple[int, int], list[int]] = {}
    for i, (k, home, _) in enumerate(v.options):
        grouped.setdefault((k, home), []).append(i)
    for k, kind in enumerate(menu.kinds):
        for p, place in enumerate(menu.order):  # as many options as blocks of the kind live there
            held: dict[int, float] = {v.n(i): 1.0 for i in grouped.get((k, place), ())}
            total = 0.0
            for block in kind.blocks:
                terms, constant = v.home(block, p)
                total += constant
                for index, sign in terms:
                    held[index] = held.get(index, 0.0) - sign
            rows.add(total, total, list(held.items()))
    for p, place in enumerate(menu.order):
        terms = [
            (v.n(i), float(menu.kinds[k].held[option, place] + (menu.kinds[k].home_bytes if home == place else 0)) / MIB)
            for i, (k, home, option) in enumerate(v.options)
        ]
        terms.append((v.w(p), float(rooms.home_extra[place]) / MIB))
        rows.add(-infinite, float(rooms.free[place]) / MIB, [t for t in terms if t[1]])
    return rows


def _values(menu: Menu, v: _Variables, start: Candidate) -> list[float]:
    """A candidate as values of the variables."""
    values = [0.0] * v.count
    for block, home in enumerate(start.homes):
        at = menu.order.index(menu.column(home))
        for p in range(v.positions - 1):
            values[v.y(block, p)] = float(at <= p)
        values[v.w(at)] = 1.0
    column = {option: i for i, option in enumerate(v.options)}
    for option in _start_options(menu, start):
        if option in column:
            values[v.n(column[option])] += 1.0
    return values


def _read(menu: Menu, v: _Variables, values: Sequence[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    homes = []
    for block in range(v.blocks):
        before = next((p for p in range(v.positions - 1) if values[v.y(block, p)] > 0.5), v.positions - 1)
        homes.append(CPU if before == 0 else menu.order[before])
    chosen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, (k, home, option) in enumerate(v.options):
        count = round(values[v.n(i)])
        if count:
            chosen.setdefault((k, home), []).append((option, count))
    return tuple(homes), block_places(menu, homes, chosen)
