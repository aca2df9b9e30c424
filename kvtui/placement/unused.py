"""Devices on which a placement leaves nothing: llama-server would still open them, take their back end's own memory, and have
the first of them stage what stays in RAM (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kvtui.base.findings import Finding
from kvtui.hardware.device import CPU
from kvtui.memory.amounts import DeviceMemory
from kvtui.placement.prompt import prompt_of
from kvtui.placement.solve.candidate import PROMPT_WORTH, Candidate, evaluate
from kvtui.placement.solve.problem import Problem


def without_unused(problem: Problem, candidate: Candidate) -> tuple[Problem, Candidate]:
    """The same placement with those devices closed on which it leaves nothing, where it fits as well and prompts are as fast:
    the devices that are opened are part of the problem. Else both as they are."""
    request = problem.request
    opened = problem.order if request.opened is None else request.opened
    holding = tuple([d for d in opened if _holds(candidate.estimate.devices[d])])
    if len(holding) == len(opened):
        return problem, candidate
    before = _prompt_seconds(problem, candidate)
    for kept in _choices(opened, holding, in_order=bool(request.order)):
        closed = replace(problem, request=replace(request, order=kept))  # all else of it is of the machine
        trial = evaluate(closed, candidate.homes, candidate.places)
        if trial.over_bytes <= candidate.over_bytes and _prompt_seconds(closed, trial) * PROMPT_WORTH <= before:
            return closed, trial
    return problem, candidate


def not_opened(asked: Problem, opened: Problem) -> tuple[Finding, ...]:
    """A note that says which devices were closed, as `without_unused` did."""
    if asked is opened:
        return ()
    left = opened.request.order
    before = asked.order if asked.request.opened is None else asked.request.opened
    names = [asked.request.machine.devices[d].name for d in before if d not in left]
    text = f"{named(names)} {'is' if len(names) == 1 else 'are'} not opened: nothing would be there"
    return (Finding("not-opened", "note", text),)


def named(names: Sequence[str]) -> str:
    """`CUDA0, CUDA2 to CUDA15`: three or more that are numbered in a row, by the first and the last."""
    rows: list[list[str]] = []
    for name in names:
        if rows and name == _next(rows[-1][-1]):
            rows[-1].append(name)
        else:
            rows.append([name])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(row) for row in rows)


def _next(name: str) -> str:
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    return f"{stem}{int(number) + 1}" if number else ""


def _choices(opened: tuple[int, ...], holding: tuple[int, ...], *, in_order: bool) -> Iterator[tuple[int, ...]]:
    """Fewer devices to open: those that hold something, or the first of all too. It stays where devices are `in_order`, which
    was chosen for what the first one does, and where no device holds anything: prompts are computed there."""
    with_first = tuple([d for d in opened if d in holding or d == opened[0]])
    for kept in dict.fromkeys((with_first,) if in_order or not holding else (holding, with_first)):
        if len(kept) < len(opened):
            yield kept


def _holds(use: DeviceMemory) -> bool:
    return use.weights_bytes + use.context_bytes + use.beside_bytes > 0


def _prompt_seconds(problem: Problem, candidate: Candidate) -> float:
    """0 where nothing is in RAM: no device takes anything from there, whichever is opened first."""
    request = problem.request
    if CPU not in (*candidate.homes, *candidate.places):
        return 0.0
    assignment = problem.assignment(candidate.homes, candidate.places)
    return prompt_of(request.model, request.context, assignment, request.machine).seconds
