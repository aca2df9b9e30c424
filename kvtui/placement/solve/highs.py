"""HiGHS at work: here for a small program, and else in a process of its own, which can be ended at any moment.

The solver asks whether it should stop only between its steps, which take seconds on eight devices; what it has found by then
it has said by messages."""

import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_GAP = 1e-4  # relative, at which a program counts as solved
_POLL_SECONDS = 0.03
_SAY_SECONDS = 0.5  # between two messages about the bound
_FEASIBLE = 2  # HighsInfo.primal_solution_status (HConst.h, kSolutionStatusFeasible): else the values are mere zeros
_START = "from kvtui.placement.solve.highs import serve; serve()"


@dataclass(frozen=True)
class Program:
    """Minimise cost x values; 0 <= values <= upper; each row of the sparse matrix between its limits. `guess`: known values."""

    cost: Sequence[float]
    integer: Sequence[bool]
    upper: Sequence[float]
    row_lower: Sequence[float]
    row_upper: Sequence[float]
    start: Sequence[int]
    index: Sequence[int]
    value: Sequence[float]
    guess: Sequence[float]


@dataclass(frozen=True)
class Answer:
    """`values`: the best that were found, () where none were; `bound`: no values cost less."""

    values: Sequence[float]
    bound: float


NOTHING = Answer((), -np.inf)


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


def _solver(program: Program, nodes: int | None) -> Any:
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.cost), len(program.row_lower)
    lp.col_cost_ = np.array(program.cost)
    lp.col_lower_, lp.col_upper_ = np.zeros(len(program.cost)), np.array(program.upper)
    lp.row_lower_, lp.row_upper_ = np.array(program.row_lower), np.array(program.row_upper)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.array(program.start)
    lp.a_matrix_.index_ = np.array(program.index)
    lp.a_matrix_.value_ = np.array(program.value)
    lp.integrality_ = [highspy.HighsVarType.kInteger if i else highspy.HighsVarType.kContinuous for i in program.integer]
    with _silent_stdout():
        solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", _GAP)
    if nodes is not None:
        solver.setOptionValue("mip_max_nodes", nodes)
    solver.passModel(lp)
    guess = highspy.HighsSolution()
    guess.col_value = list(program.guess)
    solver.setSolution(guess)
    return solver


def _answer(solver: Any, program: Program) -> Answer:
    info, values = solver.getInfo(), solver.getSolution().col_value
    found = info.primal_solution_status == _FEASIBLE and len(values) == len(program.cost)
    return Answer(tuple(values) if found else (), info.mip_dual_bound)


def run_here(program: Program, nodes: int | None) -> Answer:
    """Solved in this process; `nodes` of the tree at most."""
    solver = _solver(program, nodes)
    solver.run()
    return _answer(solver, program)


def run_apart(
    program: Program,
    nodes: int | None,
    deadline: float | None,
    should_stop: Callable[[], bool] | None,
    progress: Callable[[float], None] | None,
) -> Answer:
    """Solved in a process of its own, until it is done, `deadline` (of time.monotonic) has come, or `should_stop` says so.
    `progress` hears the bound now and then."""
    child = subprocess.Popen([sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    best = NOTHING
    try:
        child.stdin.write(pickle.dumps((program, nodes)))
        child.stdin.flush()
        while deadline is None or time.monotonic() < deadline:
            if should_stop is not None and should_stop():
                break
            wait = _POLL_SECONDS if deadline is None else max(min(_POLL_SECONDS, deadline - time.monotonic()), 0)
            if not select.select([child.stdout], [], [], wait)[0]:
                continue
            try:
                done, values, bound = pickle.load(child.stdout)
            except EOFError:
                break
            best = Answer(values or best.values, max(bound, best.bound))
            if done:
                break
            if progress is not None:
                progress(best.bound)
    except BrokenPipeError:
        pass  # it ended: what it said stands
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    return best


def serve() -> None:
    """The other process: a program comes on standard input, messages (done, values, bound) leave on standard output. It
    ends when whoever asked is gone."""
    program, nodes = pickle.load(sys.stdin.buffer)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    solver = _solver(program, nodes)
    said = [0.0]

    def say(done: bool, values: Sequence[float], bound: float) -> None:
        pickle.dump((done, tuple(values), float(bound)), out)
        out.flush()

    def found(event: Any) -> None:
        say(False, event.data_out.mip_solution, event.data_out.mip_dual_bound)

    def working(event: Any) -> None:
        if time.monotonic() - said[0] > _SAY_SECONDS:
            said[0] = time.monotonic()
            say(False, (), event.data_out.mip_dual_bound)

    solver.cbMipImprovingSolution += found
    solver.cbMipInterrupt += working
    solver.run()
    answer = _answer(solver, program)
    say(True, answer.values, answer.bound)


def _end_with(asker: BinaryIO) -> None:
    asker.read(1)
    os._exit(0)
