"""A request changed so that its plan is best at what a person asks for, and what that costs against the fastest decode."""

from collections.abc import Sequence
from dataclasses import replace

from kvtui.base.findings import Finding, UsageError
from kvtui.cache.labels import RANKS
from kvtui.flags.context import CELL_STEP, ContextParams
from kvtui.placement.advice import advised, recommended
from kvtui.placement.context_search import largest_context
from kvtui.placement.goals import Aim, Turn
from kvtui.placement.plan import Plan, searched_plan
from kvtui.placement.request import Request
from kvtui.placement.speed import Speed
from kvtui.placement.table import pair_rows

_UBATCHES = (512, 1024, 2048, 4096)  # beyond 4,096 prompts gain nothing that anybody has shown
_HALVINGS = 8  # of the context while a speed is kept
_ALIKE = 0.005  # a change that whole per cents round to none


def aimed(request: Request, aim: Aim, given: frozenset[str]) -> Request:
    """`request` with what was not `given` (of "types", "context", "ubatch") chosen for `aim`, and a finding that says what it
    gave up. UsageError where what was given leaves nothing to choose, or no speed is known."""
    if aim.turn is not None:
        return _for_turns(request, aim.turn, given)
    if aim.pair == "context":
        return _for_context(request, aim, given)
    if aim.pair == "memory":
        return _for_memory(request, given)
    return request


def turn_seconds(speed: Speed, turn: Turn, cells: int) -> float:
    """Seconds of a turn: what is new of its prompt, then tokens at the fill that they meet on average."""
    full, empty = 1 / speed.tokens_per_second, 1 / speed.tokens_per_second_empty
    fill = min((turn.prompt + turn.generated / 2) / max(cells, 1), 1.0)
    return (turn.prompt - turn.reused) / speed.prompt_tokens_per_second + turn.generated * (empty + fill * (full - empty))


def _for_turns(request: Request, turn: Turn, given: frozenset[str]) -> Request:
    sizes = (request.context.n_ubatch,) if "ubatch" in given else _UBATCHES
    asked = [replace(request, context=_with_ubatch(request.context, n)) for n in sizes]
    plans = [p for p in map(searched_plan, asked) if p.fits] or [searched_plan(request)]
    took = [(_turn_of(p, turn), p) for p in plans]
    seconds, best = min(took, key=lambda t: t[0])
    first = took[0]
    text = f"a turn takes {seconds:.3g} s"
    if best is not first[1] and best.speed is not None and first[1].speed is not None:
        text += f" with -ub {best.request.context.n_ubatch}, {first[0] - seconds:.3g} s less than with {sizes[0]}"
        text += _slower(best.speed, first[1].speed)
    chosen = replace(request, context=best.request.context)
    return _noted(chosen, f"turn:{turn.prompt},{turn.reused},{turn.generated}", text)


def _with_ubatch(context: ContextParams, n: int) -> ContextParams:
    return replace(context, n_ubatch=n, n_batch=max(context.n_batch, n))


def _turn_of(plan: Plan, turn: Turn) -> float:
    if plan.speed is None:
        raise UsageError("--goal turn: no speed is known without the bandwidths of the devices and of RAM")
    cells = plan.request.context.cells(plan.request.model.n_ctx_train)
    return turn_seconds(plan.speed, turn, cells)


def _for_context(request: Request, aim: Aim, given: frozenset[str]) -> Request:
    if "context" in given:
        raise UsageError(f"--goal {aim} chooses the context: leave out -c")
    base = searched_plan(request)
    if aim.least_speed and base.speed is None:
        raise UsageError(f"--goal {aim}: no speed is known without the bandwidths of the devices and of RAM")
    trained = request.model.n_ctx_train
    best, reach = request, _reach(request, trained, aim.least_speed)
    if "types" not in given and reach < trained:
        for types in _good_pairs(base):
            trial = replace(request, context=replace(request.context, type_k=types[0], type_v=types[1]))
            most = _reach(trial, trained, aim.least_speed)
            if most > reach:
                best, reach = trial, most
            if reach == trained:
                break
    if not reach:
        why = f"at {aim.least_speed:g} tokens a second" if aim.least_speed else "here"
        raise UsageError(f"--goal {aim}: no context is possible {why}")
    plan = searched_plan(replace(best, context=replace(best.context, n_ctx=reach)))
    text = f"{reach:,} tokens with {plan.request.context.type_k}/{plan.request.context.type_v}"
    more = reach - base.request.context.n_ctx
    if more > 0:
        text += f", {more:,} more than {base.request.context.type_k}/{base.request.context.type_v} reaches"
    if plan.speed is not None and base.speed is not None:
        text += _slower(plan.speed, base.speed)
    return _noted(plan.request if plan.fits else base.request, str(aim), text)


def _reach(request: Request, most: int, least_speed: float) -> int:
    """Tokens of the largest context that fits and keeps the speed; 0 for none."""
    found = largest_context(request, most) or 0
    if not least_speed or _keeps(request, found, least_speed):
        return found
    low, high = 0, found
    for _ in range(_HALVINGS):
        middle = (low + high) // 2 // CELL_STEP * CELL_STEP
        if middle <= low:
            break
        low, high = (middle, high) if _keeps(request, middle, least_speed) else (low, middle)
    return low


def _keeps(request: Request, n_ctx: int, least_speed: float) -> bool:
    if n_ctx <= 0:
        return False
    plan = searched_plan(replace(request, context=replace(request.context, n_ctx=n_ctx)))
    return plan.fits and plan.speed is not None and plan.speed.tokens_per_second >= least_speed


def _good_pairs(base: Plan) -> Sequence[tuple[str, str]]:
    """Accepted pairs of good quality or better that save something, the best quality first."""
    rows = [r for r in pair_rows(base, contexts=False) if r.accepted and RANKS[r.quality.label] <= RANKS["good"]]
    smaller = [r for r in rows if r.saved_fraction > 0 and r.runs != "cpu"]
    return [r.pair for r in sorted(smaller, key=lambda r: (r.quality.expected, r.cache_bytes))]


def _for_memory(request: Request, given: frozenset[str]) -> Request:
    if "types" in given:
        raise UsageError("--goal memory chooses the types of K and V: leave out -ctk and -ctv")
    base = searched_plan(request)
    row = recommended(advised(pair_rows(base, contexts=False)), "memory")
    if row is None or row.pair == (base.request.context.type_k, base.request.context.type_v):
        return _noted(request, "memory", "no pair that loses little takes less and is not beaten in speed and quality")
    context = replace(base.request.context, type_k=row.type_k, type_v=row.type_v)
    plan = searched_plan(replace(base.request, context=context))
    saved = sum(d.used_bytes for d in base.estimate.devices) - sum(d.used_bytes for d in plan.estimate.devices)
    text = f"{row.type_k}/{row.type_v} takes {row.saved_fraction:.0%} of the cache less"
    text += f", {saved / 2**30:.1f} GiB less on the devices" if saved > 0 else ""
    if plan.speed is not None and base.speed is not None:
        text += _slower(plan.speed, base.speed)
    return _noted(replace(request, context=context), "memory", text)


def _slower(speed: Speed, base: Speed) -> str:
    """Against the fastest decode: `, decode 12 % slower`."""
    change = speed.tokens_per_second / base.tokens_per_second - 1
    if abs(change) < _ALIKE:
        return ", decode as fast"
    return f", decode {abs(change):.0%} {'faster' if change > 0 else 'slower'} at full context"


def _noted(request: Request, goal: str, text: str) -> Request:
    return replace(request, notes=(*request.notes, Finding("goal", "note", f"goal {goal}: {text}")))
