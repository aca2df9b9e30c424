"""The exact answer: a mixed integer program, solved by HiGHS.

Home of each block in device order (RAM first), device of each movable tensor, capacities with compute buffers, hand-offs
priced. Works to a fixed number of nodes, or to a time, and can be cancelled."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kvtui.memory.assignment import CPU
from kvtui.placement.problem import HANDOFF_SECONDS, Problem
from kvtui.placement.search import Candidate, evaluate, pick

MAX_NODES = 400
_GAP = 1e-4  # relative, at which a plan counts as proven
_ROUNDS = 3  # compute buffers follow the plan: solve, measure, solve again
_POLL_SECONDS = 0.03
_SCALE = 1e3  # seconds to milliseconds, MiB for bytes: numbers a solver likes
_MIB = 2.0**20


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
    """Where each kind of variable is. Position 0 is RAM, position p the device p-1."""

    blocks: int
    movables: int
    positions: int

    def y(self, block: int, p: int) -> int:
        """1 if the block's home is at position p or before; p < positions - 1."""
        return block * (self.positions - 1) + p

    def z(self, movable: int, p: int) -> int:
        """1 if the movable is at position p."""
        return self.blocks * (self.positions - 1) + movable * self.positions + p

    def u(self, block: int, p: int) -> int:
        """1 if position p holds movables of a block whose home is elsewhere."""
        return self.z(self.movables, 0) + block * self.positions + p

    def w(self, p: int) -> int:
        """1 if any block's home is at position p."""
        return self.u(self.blocks, 0) + p

    @property
    def count(self) -> int:
        """How many there are."""
        return self.w(self.positions)

    def home(self, block: int, p: int) -> list[tuple[int, float]]:
        """x = y(p) - y(p-1): terms and, at the last position, a constant of 1 that the caller moves to the bound."""
        terms = [(self.y(block, p), 1.0)] if p < self.positions - 1 else []
        return terms + ([(self.y(block, p - 1), -1.0)] if p else [])


def solve(
    problem: Problem, first: Candidate, *, seconds: float | None = None, should_stop: Callable[[], bool] | None = None
) -> tuple[Candidate, bool]:
    """(the best plan found, whether it is proven). `first` is where it starts and the least it gives back."""
    best, proven = first, False
    reserve = [use.compute_bytes for use in first.estimate.devices]
    reserve = _home_reserve(problem, reserve)
    for _ in range(_ROUNDS):
        answer = _solve(problem, best, reserve, seconds, should_stop)
        if answer is None:
            break
        homes, places, optimal = answer
        candidate = evaluate(problem, homes, places)
        chosen = pick([best, candidate]) if not candidate.over_bytes else best
        proven = optimal and not candidate.over_bytes
        needed = [use.compute_bytes for use in candidate.estimate.devices]
        improved = chosen is candidate
        best = chosen
        if not candidate.over_bytes and all(n >= r for n, r in zip(needed, reserve, strict=True)):
            break
        if candidate.over_bytes:
            reserve = [max(n, r) for n, r in zip(needed, reserve, strict=True)]
        elif improved:
            reserve = needed
        else:
            break
        if should_stop is not None and should_stop():
            break
    return best, proven


def _home_reserve(problem: Problem, measured: Sequence[int]) -> list[int]:
    """A device that holds nothing yet gets the compute buffer of the device that holds most."""
    known = max(measured, default=0)
    return [m or known for m in measured]


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """HiGHS greets on the process's standard output when it is made, past every option: sent to nowhere."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _solve(
    problem: Problem,
    start: Candidate,
    reserve: Sequence[int],
    seconds: float | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[tuple[int, ...], tuple[int, ...], bool] | None:
    import highspy
    import numpy as np

    v = _Variables(len(problem.home_bytes), len(problem.movables), len(problem.request.machine.devices) + 1)
    if v.positions < 2:
        return None
    cost, integer, upper = _objective(problem, v)
    rows = _constraints(problem, v, reserve)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = v.count, len(rows.lower)
    lp.col_cost_ = np.array(cost)
    lp.col_lower_, lp.col_upper_ = np.zeros(v.count), np.array(upper)
    lp.row_lower_, lp.row_upper_ = np.array(rows.lower), np.array(rows.upper)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.array(rows.start)
    lp.a_matrix_.index_ = np.array(rows.index)
    lp.a_matrix_.value_ = np.array(rows.value)
    lp.integrality_ = [highspy.HighsVarType.kInteger if i else highspy.HighsVarType.kContinuous for i in integer]
    with _silent_stdout():
        solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", _GAP)
    if seconds is None:
        solver.setOptionValue("mip_max_nodes", MAX_NODES)
    else:
        solver.setOptionValue("time_limit", float(seconds))
    solver.passModel(lp)
    if not start.over_bytes:
        guess = highspy.HighsSolution()
        guess.col_value = _values(problem, v, start)
        solver.setSolution(guess)
    solver.HandleUserInterrupt = True
    solver.startSolve()
    while True:
        done, _ = solver.wait(_POLL_SECONDS)
        if done:
            break
        if should_stop is not None and should_stop():
            solver.cancelSolve()
    values = solver.getSolution().col_value
    if len(values) != v.count:
        return None
    optimal = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    homes, places = _read(v, values)
    return homes, places, optimal


def _objective(problem: Problem, v: _Variables) -> tuple[list[float], list[bool], list[float]]:
    """(cost, integrality, upper bound) a variable; milliseconds."""
    speed = [problem.seconds_per_byte[p - 1] * _SCALE for p in range(v.positions)]
    cost, integer, upper = [0.0] * v.count, [False] * v.count, [1.0] * v.count
    last = v.positions - 1
    for block, read in enumerate(problem.home_read):
        for p in range(last):  # read x (speed(p) - speed(p+1)) x y(p), and a constant
            cost[v.y(block, p)] = read * (speed[p] - speed[p + 1])
            integer[v.y(block, p)] = True
    for i, m in enumerate(problem.movables):
        for p in range(v.positions):
            cost[v.z(i, p)] = m.read * speed[p]
            integer[v.z(i, p)] = True
    for block in range(v.blocks):
        for p in range(v.positions):
            cost[v.u(block, p)] = 2 * HANDOFF_SECONDS * _SCALE
    for p in range(v.positions):
        cost[v.w(p)] = HANDOFF_SECONDS * _SCALE
    if problem.request.no_ram:
        for i in range(v.movables):
            upper[v.z(i, 0)] = 0.0
        for block in range(v.blocks):
            upper[v.y(block, 0)] = 0.0
    for p, capacity in enumerate(problem.request.capacities):
        if capacity <= 0:
            for i in range(v.movables):
                upper[v.z(i, p + 1)] = 0.0
            upper[v.w(p + 1)] = 0.0
    return cost, integer, upper


def _constraints(problem: Problem, v: _Variables, reserve: Sequence[int]) -> _Rows:
    rows, infinite = _Rows(), float("inf")
    last = v.positions - 1
    for block in range(v.blocks):
        for p in range(last - 1):
            rows.add(0.0, infinite, [(v.y(block, p + 1), 1.0), (v.y(block, p), -1.0)])
        if block + 1 < v.blocks:
            for p in range(last):
                rows.add(0.0, infinite, [(v.y(block, p), 1.0), (v.y(block + 1, p), -1.0)])
        for p in range(v.positions):  # w >= x
            terms = [(v.w(p), 1.0), *((i, -c) for i, c in v.home(block, p))]
            rows.add(1.0 if p == last else 0.0, infinite, terms)
    for i, m in enumerate(problem.movables):
        rows.add(1.0, 1.0, [(v.z(i, p), 1.0) for p in range(v.positions)])
        for p in range(v.positions):  # u >= z - x
            terms = [(v.u(m.block, p), 1.0), (v.z(i, p), -1.0), *v.home(m.block, p)]
            rows.add(-1.0 if p == last else 0.0, infinite, terms)
    for d, capacity in enumerate(problem.request.capacities):
        p = d + 1
        held: dict[int, float] = {}
        room = (capacity - problem.pinned_bytes[d] - reserve[d]) / _MIB
        for block, size in enumerate(problem.home_bytes):
            for index, sign in v.home(block, p):
                held[index] = held.get(index, 0.0) + sign * size / _MIB
            if p == last:
                room -= size / _MIB
        for i, m in enumerate(problem.movables):
            held[v.z(i, p)] = m.n_bytes / _MIB
        rows.add(-infinite, room, list(held.items()))
    ram: dict[int, float] = {}
    for block, size in enumerate(problem.home_bytes):
        ram[v.y(block, 0)] = size / _MIB
    for i, m in enumerate(problem.movables):
        ram[v.z(i, 0)] = m.n_bytes / _MIB
    rows.add(-infinite, (problem.request.machine.ram.free_bytes - problem.pinned_bytes[CPU]) / _MIB, list(ram.items()))
    return rows


def _values(problem: Problem, v: _Variables, start: Candidate) -> list[float]:
    """A candidate as values of the variables."""
    values = [0.0] * v.count
    for block, home in enumerate(start.homes):
        for p in range(v.positions - 1):
            values[v.y(block, p)] = float(home + 1 <= p)
        values[v.w(home + 1)] = 1.0
    for i, place in enumerate(start.places):
        values[v.z(i, place + 1)] = 1.0
        block = problem.movables[i].block
        if place != start.homes[block]:
            values[v.u(block, place + 1)] = 1.0
    return values


def _read(v: _Variables, values: Sequence[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    homes = []
    for block in range(v.blocks):
        before = next((p for p in range(v.positions - 1) if values[v.y(block, p)] > 0.5), v.positions - 1)
        homes.append(before - 1)
    places = [max(range(v.positions), key=lambda p: values[v.z(i, p)]) - 1 for i in range(v.movables)]
    return tuple(homes), tuple(places)
