"""A plan: where everything goes, what it takes, how fast it will be, and the flags that say so. One frozen value."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kvtui.base.findings import DOES_NOT_FIT, Finding
from kvtui.base.sizes import mib
from kvtui.flags.beside import beside_argv
from kvtui.flags.context import ContextParams
from kvtui.flags.overrides import Override
from kvtui.hardware.device import CPU
from kvtui.memory.assignment import Assignment
from kvtui.memory.device_notes import device_notes
from kvtui.memory.estimate import Estimate
from kvtui.memory.expert_cache import expert_cache_findings
from kvtui.memory.large_work import too_large_to_compute
from kvtui.memory.left_to_cpu import left_to_cpu
from kvtui.memory.one_buffer import one_buffer_findings
from kvtui.memory.ram_notes import ram_notes
from kvtui.memory.refusals import refusals
from kvtui.memory.standing import standing_of
from kvtui.placement.as_flags import placement_flags
from kvtui.placement.ceilings import beyond_ram, cost_of_slots, with_ceilings
from kvtui.placement.context_search import largest_context
from kvtui.placement.flash import with_known_flash
from kvtui.placement.pins import checked_pins, follows, left_behind
from kvtui.placement.request import Request
from kvtui.placement.shortage import does_not_fit
from kvtui.placement.solve.candidate import GUARD, Candidate, pick_with_prompts
from kvtui.placement.solve.first_opened import better_order
from kvtui.placement.solve.fractional import bound
from kvtui.placement.solve.problem import Problem, build_problem
from kvtui.placement.solve.search import Found, search
from kvtui.placement.speed import Speed, no_ram_bandwidth, placed_speed
from kvtui.placement.ubatch import enlarged, fitted
from kvtui.placement.unused import not_opened, without_unused

_NOTABLE_GAP = 0.01  # of the bound: from here on people are told how far from it a plan is
_NEAR_ENOUGH = 5e-3  # of the bound: what the solver could still find is less
_PROVEN_GAP = 2e-4  # relative, as the solver's
_WORTH_FOLLOWING = 2.0  # a plan this many times slower for pinned blocks' K/V is not what a pin of weights meant


@dataclass(frozen=True)
class Optimality:
    """How far from the best a plan can be. `gap`: of `bound_seconds`, which cuts tensors to any size and knows no hand-offs.
    `remaining`: how much faster a plan by the rules of placement could still be, hand-offs counted; None where no bound is
    known. `proven`: none is faster."""

    bound_seconds: float
    gap: float
    proven: bool
    remaining: float | None = None


@dataclass(frozen=True)
class Plan:
    """What the screen, the JSON, the flags and the comparison with the server are views of."""

    request: Request
    assignment: Assignment
    estimate: Estimate
    argv: tuple[str, ...]  # after `-m MODEL`, complete
    env: tuple[tuple[str, str], ...]
    overrides: tuple[Override, ...]
    fits: bool
    speed: Speed | None
    optimality: Optimality
    findings: tuple[Finding, ...]
    found: Found = field(repr=False)
    notes: tuple[Finding, ...] = ()  # of the findings: how the request was changed

    @property
    def homes(self) -> tuple[int, ...]:
        """A device a block, the output last."""
        return self.found.best.homes

    @property
    def places(self) -> tuple[int, ...]:
        """A device a movable tensor."""
        return self.found.best.places

    @property
    def refused(self) -> bool:
        """Whether llama-server would refuse it."""
        return any(f.severity == "error" and f.code != DOES_NOT_FIT for f in self.findings)


def quick_plan(request: Request) -> Plan:
    """The first answer, by search alone, with the physical batch that was asked for, or that fits."""
    problem, first, notes = _searched(request)
    return plan_of(problem, first, proven=False, notes=notes)


def searched_plan(request: Request) -> Plan:
    """The best plan by search alone."""
    return with_batch(quick_plan(request))


def with_batch(plan: Plan) -> Plan:
    """`plan`, or the one with a larger physical batch that serves prompts better: some more searches."""
    chosen = enlarged(build_problem(plan.request), plan.found)
    if chosen is None:
        return plan
    problem, found, notes = chosen
    return plan_of(problem, found, proven=False, notes=(*plan.notes, *notes))


def make_plan(
    request: Request,
    *,
    deadline: float | None = None,
    prove: bool = False,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Plan:
    """The best plan: search and, where the program is small, the exact solver, a fixed amount of work. With `deadline` (of
    time.monotonic) the solver goes on until then, with `prove` until no plan is better; `progress` hears the best plan's
    seconds a token and the bound."""
    from kvtui.placement.solve.exact import A_LITTLE, AT_ONCE, PROVE, solve

    problem, first, notes = _searched(request)
    problem, first, batched = enlarged(problem, first) or (problem, first, ())
    notes = (*notes, *batched)
    if prove or deadline is not None:
        effort = replace(PROVE, deadline=deadline)
    else:
        near = first.bound >= first.best.score.seconds * (1 - _NEAR_ENOUGH)
        effort = AT_ONCE if near else A_LITTLE
    better, proven = solve(problem, first, effort, should_stop, progress)
    return _proven_plan(problem, first, better, proven=proven, notes=notes)


def _searched(request: Request) -> tuple[Problem, Found, tuple[Finding, ...]]:
    """What a request becomes: pins that can be kept, a context, a physical batch with which it fits, if one does."""
    request, about_pins = checked_pins(replace(request, weights_only=False, blocks_on_devices=False, order=()))
    request = with_known_flash(request)
    request, about_context = _with_context(request)
    request, preferred = _with_preferred(request)
    problem, found, left = _with_pins(request)
    problem, found = _without_blocks_in_ram(problem, found)
    problem, found, ordered = (problem, found, preferred) if preferred else _in_order(problem, found)
    about_pins = (*about_pins, *left)
    problem, found, batched = fitted(problem, found) or (problem, found, ())
    return problem, found, (*about_pins, *about_context, *ordered, *batched)


def _with_pins(request: Request) -> tuple[Problem, Found, tuple[Finding, ...]]:
    """Blocks that are pinned whole live there with their K/V, as far as the order of blocks and the room allow that."""
    problem = build_problem(request)
    found = search(problem)
    if all(lives is None for lives in problem.pinned_homes):
        return problem, found, ()
    loose = build_problem(replace(request, weights_only=True))
    other = search(loose)
    if follows(problem, found.best) and (
        other.best.over_bytes
        or (not found.best.over_bytes and found.best.score.seconds <= _WORTH_FOLLOWING * other.best.score.seconds)
    ):
        return problem, found, ()
    left = left_behind(problem, other.best)
    return loose, other, () if left is None else (left,)


def improve(plan: Plan, should_stop: Callable[[], bool] | None = None) -> Plan:
    """`plan`, improved or proven by the exact solver; stops soon after `should_stop` says so."""
    from kvtui.placement.solve.exact import Effort, solve

    problem = build_problem(plan.request)
    better, proven = solve(problem, plan.found, Effort(), should_stop)
    return _proven_plan(problem, plan.found, better, proven=proven, notes=plan.notes)


def _proven_plan(problem: Problem, first: Found, better: Found, *, proven: bool, notes: tuple[Finding, ...]) -> Plan:
    """The plan of `better`. Where blocks were kept out of RAM, or devices are opened in an order of their own, the solver's
    bound is not one for every placement: `first`'s is."""
    if problem.request.blocks_on_devices or problem.request.order:
        better = replace(better, bound=min(better.bound, first.bound))
        proven = proven and 0 < better.best.score.seconds <= better.bound * (1 + _PROVEN_GAP)
    return plan_of(problem, better, proven=proven, notes=notes)


def _without_blocks_in_ram(problem: Problem, found: Found) -> tuple[Problem, Found]:
    """Tensors in RAM instead of whole blocks with their K/V, where decode is as good: attention stays on the devices, which
    do it faster than the yardstick's bytes say, above all for prompts."""
    request, best = problem.request, found.best
    if best.over_bytes or CPU not in best.homes or not problem.movables or request.no_ram or CPU in problem.pinned_homes:
        return problem, found
    if not any(request.capacities):  # no device is opened
        return problem, found
    trial = build_problem(replace(request, blocks_on_devices=True))
    other = search(trial)
    if other.best.over_bytes or other.best.score.seconds > best.score.seconds * GUARD:
        return problem, found
    return trial, replace(other, bound=min(other.bound, found.bound))


def _with_preferred(request: Request) -> tuple[Request, tuple[Finding, ...]]:
    """The preferred device alone where everything fits there, else opened first; and a finding that says which."""
    names = [d.name for d in request.machine.devices]
    if request.preferred is None or request.preferred not in names:
        return request, ()
    first = names.index(request.preferred)
    alone = replace(request, order=(first,), no_ram=True)
    elsewhere = any(p.device not in (request.preferred, "CPU") for p in request.pins)
    if not elsewhere and not search(build_problem(alone)).best.over_bytes:
        text = f"everything is on {request.preferred}, as preferred: the other devices are not opened"
        return replace(alone, no_ram=request.no_ram), (Finding("preferred", "note", text),)
    text = f"{request.preferred} is opened first, as preferred: it cannot hold everything alone"
    rest = [i for i in range(len(names)) if i != first]
    return replace(request, order=(first, *rest)), (Finding("preferred", "note", text),)


def _in_order(problem: Problem, found: Found) -> tuple[Problem, Found, tuple[Finding, ...]]:
    """Another device opened first, where that makes decode or, at as good a decode, prompts faster."""
    order = better_order(problem, found.best)
    if order is None:
        return problem, found, ()
    trial = build_problem(replace(problem.request, order=order))
    other = search(trial)
    if other.best.over_bytes or pick_with_prompts([found.best, other.best]) is found.best:
        return problem, found, ()
    name = problem.request.machine.devices[order[0]].name
    text = f"{name} is opened first: it takes the weights in RAM through its link for prompts, and has the buffers for them"
    return trial, replace(other, bound=min(other.bound, found.bound)), (Finding("opened-first", "note", text),)


def _with_context(request: Request) -> tuple[Request, tuple[Finding, ...]]:
    """Without -c: the smaller of the trained context and the largest that fits, and a finding that says which."""
    if request.context.n_ctx:
        return request, ()
    trained = request.model.n_ctx_train
    most = largest_context(request, trained)
    chosen = trained if most is None else min(trained, most)
    text = f"{chosen:,} tokens: the trained context"
    if most is not None and most < trained:
        text = f"{chosen:,} tokens: the most that fits; the model was trained for {trained:,}"
    context = replace(request.context, n_ctx=chosen)
    return replace(request, context=context), (Finding("context-chosen", "note", text),)


def plan_of(problem: Problem, found: Found, *, proven: bool, notes: tuple[Finding, ...] = ()) -> Plan:
    """The plan of a placement."""
    request = problem.request
    opened, candidate = without_unused(problem, found.best)
    assignment = opened.assignment(candidate.homes, candidate.places)
    flags = placement_flags(request.model, assignment, request.machine)
    rooms = [cap - use.working_bytes for cap, use in zip(request.capacities, found.best.estimate.devices, strict=True)]
    least = bound(problem, rooms)
    gap = max(candidate.score.read_seconds / least - 1.0, 0.0) if least else 0.0
    fits = candidate.over_bytes == 0
    remaining = max(1.0 - found.bound / candidate.score.seconds, 0.0) if found.bound and fits else None
    findings = [
        *request.notes,
        *notes,
        *refusals(request.model, request.context, request.build),
        *problem.beside.findings,
        *_warnings(request),
    ]
    findings += expert_cache_findings(request.model, assignment, request.machine, request.context.expert_cache_mib)
    offload, devices = request.context.offload_kqv, request.machine.devices
    findings += one_buffer_findings(request.model, problem.layout, assignment, devices, offload_kqv=offload)
    findings += too_large_to_compute(problem.compute, assignment, candidate.estimate.devices, devices)
    findings += left_to_cpu(request.model, assignment, devices)
    if not fits:
        findings.append(does_not_fit(problem, candidate))
    elif gap > _NOTABLE_GAP and problem.movables:
        findings.append(_left_over(problem, candidate, gap))
    memory = with_ceilings(request, candidate.estimate)
    findings += [
        f for f in (beyond_ram(request, memory) if fits else None, cost_of_slots(opened.request, candidate)) if f is not None
    ]
    findings += no_ram_bandwidth(request, assignment)
    findings += not_opened(problem, opened)
    load_mode = request.load_mode or _load_mode(candidate, fits)
    findings += device_notes(request.machine)
    findings += ram_notes(request.machine.ram, memory.host, request.model.weights_bytes, load_mode)
    return Plan(
        request=request,
        assignment=assignment,
        estimate=memory,
        argv=(
            *context_flags(request.model.n_ctx_train, request.context),
            *flags.argv,
            "-lm",
            load_mode,
            *beside_argv(request.beside.flags),
        ),
        env=(("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),) if any(d.backend == "CUDA" for d in request.machine.devices) else (),
        overrides=flags.overrides,
        fits=fits and not any(f.severity == "error" for f in findings),
        speed=placed_speed(request, assignment),
        optimality=Optimality(least, gap, proven, remaining),
        findings=tuple(findings),
        found=found,
        notes=notes,
    )


def _load_mode(candidate: Candidate, fits: bool) -> str:
    """`none` when experts stay in RAM and RAM suffices (llama-model-loader.cpp advises it), else llama.cpp's choice."""
    return "none" if fits and CPU in candidate.places else "auto"


def context_flags(trained: int, context: ContextParams) -> tuple[str, ...]:
    """Every context flag, explicit, and `--fit off`."""
    flags = ["--fit", "off", "-c", str(context.n_ctx or trained), "-ctk", context.type_k, "-ctv", context.type_v]
    flags += ["-np", str(context.slots), "-kvu" if context.unified else "-no-kvu"]
    flags += ["-b", str(context.n_batch), "-ub", str(context.n_ubatch), "-fa", context.flash_attn]
    flags += ["--swa-full"] if context.swa_full else []
    flags += [] if context.offload_kqv else ["-nkvo"]
    flags += [] if context.op_offload else ["--no-op-offload"]
    flags += ["--embedding"] if context.embeddings else []
    flags += ["--pooling", context.pooling] if context.pooling is not None else []
    flags += ["--moe-cache-mib", str(context.expert_cache_mib)] if context.expert_cache_mib else []
    flags += ["--spec-type", ",".join(context.spec_types)] if context.spec_types else []
    flags += ["--spec-draft-n-max", str(context.n_draft)] if context.n_draft is not None else []
    return tuple(flags)


def _warnings(request: Request) -> list[Finding]:
    found = []
    model, context, devices = request.model, request.context, request.machine.devices
    per_slot = context.cells_per_slot(model.n_ctx_train)
    if context.n_ctx > model.n_ctx_train and per_slot > model.n_ctx_train:
        found.append(
            Finding(
                "beyond-training",
                "warning",
                f"{per_slot:,} tokens a slot are more than the {model.n_ctx_train:,} the model was trained for",
            )
        )
    if any(d.backend == "RPC" and d.endpoint is None for d in devices):
        found.append(Finding("no-endpoint", "note", "RPC devices without host:port: the command can't run as it is"))
    for device, margin in zip(devices, request.margin_bytes, strict=True):
        if device.display and device.name not in request.excluded and device.free_bytes > margin:
            text = f"{device.name} draws the desktop: {mib(margin)} stay free for what that takes on; --display-margin sets it"
            found.append(Finding("display-margin", "note", text))
        if device.free_bytes <= margin and device.name not in request.excluded:
            text = f"{device.name} is not used: of {mib(device.free_bytes)} free its margin leaves nothing ({mib(margin)})"
            found.append(Finding("margin-takes-all", "note", text))
    found += standing_of(model, request.build)
    if not devices:
        found.append(Finding("no-device", "note", "no GPU: everything is in RAM"))
    return found


def _left_over(problem: Problem, candidate: Candidate, gap: float) -> Finding:
    """Why a plan is more than a percent above the bound: what is left free is smaller than what could move there."""
    in_ram = [m.n_bytes for m, place in zip(problem.movables, candidate.places, strict=True) if place == CPU]
    left = [
        f"{device.name} {mib(cap - use.used_bytes)}"
        for device, use, cap in zip(
            problem.request.machine.devices, candidate.estimate.devices, problem.request.capacities, strict=True
        )
        if cap > use.used_bytes
    ]
    smallest = f"; the smallest tensor in RAM is {mib(min(in_ram))}" if in_ram else ""
    text = f"{gap:.1%} above the bound, which cuts tensors to any size: {', '.join(left)} stay free{smallest}"
    return Finding("granularity", "note", text)
