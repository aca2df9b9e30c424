"""The physical batch: larger than 512 where experts in RAM make prompts wait for the link, smaller where nothing fits else."""

from dataclasses import replace

from kvtui.base.findings import Finding
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU
from kvtui.placement.prompt import Prompt, prompt_of, stager
from kvtui.placement.solve.candidate import NEAR, PROMPT_WORTH, Candidate
from kvtui.placement.solve.problem import Problem, build_problem
from kvtui.placement.solve.search import Found, search

_LARGER = (4096, 2048, 1024)  # each ubatch moves the experts in RAM once: the largest that decode can afford is the fastest
_LEAST = 32  # this program's own choice: below it prompts are as slow as decoding
_SHOWN_LOSS = 5e-4  # a change that tenths of a per cent round to none

Chosen = tuple[Problem, Found, tuple[Finding, ...]]


def fitted(problem: Problem, found: Found) -> Chosen | None:
    """Smaller batches until it fits; None where it fits as it is, or does not at all."""
    request = problem.request
    asked = request.context.n_ubatch
    ubatch = min(asked, request.context.n_batch) // 2
    while found.best.over_bytes and ubatch >= _LEAST:
        smaller = build_problem(replace(request, context=replace(request.context, n_ubatch=ubatch)))
        trial = search(smaller)
        if not trial.best.over_bytes:
            text = f"a physical batch of {asked} does not fit, {ubatch} does: prompts are slower"
            return smaller, trial, (Finding("ubatch-reduced", "warning", text),)
        ubatch //= 2
    return None


def enlarged(problem: Problem, found: Found) -> Chosen | None:
    """The largest batch with which decode is as good and prompts are faster, where nobody asked for one and experts are in RAM;
    the logical batch grows with it. None: as it is."""
    request, best = problem.request, found.best
    context = request.context
    spills = any(
        place == CPU and problem.model.tensors[m.tensor].expert for m, place in zip(problem.movables, best.places, strict=True)
    )
    if not request.ubatch_open or best.over_bytes or not spills or stager(request.machine, problem.order, context) == CPU:
        return None
    if context.n_ubatch != ContextParams().n_ubatch:  # chosen before, or made smaller to fit
        return None
    before = _prompt(problem, best)
    for ubatch in _LARGER:
        if not context.n_ubatch < ubatch <= context.n_ctx:
            continue
        larger = replace(context, n_ubatch=ubatch, n_batch=max(context.n_batch, ubatch))
        trial = build_problem(replace(request, context=larger))
        other = search(trial)
        loss = other.best.score.seconds / best.score.seconds - 1
        if other.best.over_bytes or 1 + loss > NEAR:
            continue
        after = _prompt(trial, other.best)
        gain = before.seconds / after.seconds
        if gain * PROMPT_WORTH < 1:
            return None
        most = "up to " if after.at_least else ""
        text = f"a physical batch of {ubatch:,}: prompts {most}{gain:.1f}x as fast as with {context.n_ubatch:,}"
        text += f", decode {loss:.1%} slower" if loss > _SHOWN_LOSS else ""
        return trial, other, (Finding("ubatch-chosen", "note", text),)
    return None


def _prompt(problem: Problem, candidate: Candidate) -> Prompt:
    request = problem.request
    assignment = problem.assignment(candidate.homes, candidate.places)
    return prompt_of(request.model, request.context, assignment, request.machine)
