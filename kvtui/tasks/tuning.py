"""`kvtui tune`: plans that differ in kind, measured on the real server with a person's lengths of prompt and answer."""

import time
from collections.abc import Callable, Sequence

from kvtui.base.findings import UsageError
from kvtui.placement.turn import Turn, expected_seconds, least_seconds, still_open
from kvtui.placement.variants import Variant
from kvtui.server.http.client import ServerClient
from kvtui.server.http.stress import SPARE_TOKENS
from kvtui.server.measure.forced import Text
from kvtui.server.measure.measured import conditions
from kvtui.server.measure.speeds import MeasuredSpeed, keep_speed, recall_speed
from kvtui.server.measure.tuned import Bench, Outcome, best_of
from kvtui.server.process.passing import NotServed, Served, passing
from kvtui.tasks.measuring import learn_from_load

USUAL_PROMPT, USUAL_GENERATE = 2048, 128  # tokens, as far as a slot has room
_LOAD_SECONDS = 120.0  # for a load, and beyond that as long as a gigabit network or a slow disk needs:
_SLOWEST_LOAD = 100e6  # bytes a second
_PATIENCE = 10.0  # times what is expected, for an answer,
_LEAST_PATIENCE_SECONDS = 600.0  # and not less
_WARM_UP = (256, 4)  # tokens of a first prompt and answer, which pay for kernels that are loaded once
Progress = Callable[[str, int, int], None]  # what is done, plans done, plans in all


def turn_of(prompt: int | None, generate: int | None, per_slot: int) -> Turn:
    """A person's lengths, or the usual ones as far as a slot of `per_slot` tokens holds them. Raises UsageError."""
    room = per_slot - SPARE_TOKENS
    answer = generate or min(USUAL_GENERATE, max(room // 8, 1))
    turn = Turn(prompt or min(USUAL_PROMPT, max(room - answer, 1)), answer)
    if turn.prompt + turn.generate > room:
        said = f"--prompt {turn.prompt} and --generate {turn.generate}"
        raise UsageError(f"{said}: a slot of {per_slot:,} tokens holds {room:,} in all: give less, or more by -c")
    return turn


def try_all(bench: Bench, found: Sequence[Variant], progress: Progress, *, again: bool = False) -> list[Outcome]:
    """Each of `found`, in their order. What was measured before under the same conditions is not loaded, unless `again`; nor
    is what cannot be faster than the best by then. Each speed is kept as soon as it is there. OSError if the server cannot be
    started."""
    outcomes: dict[int, Outcome] = {}
    for i, variant in enumerate(found):
        known = None if again else recall_speed(bench.setting, bench.argv(variant), _depth(bench.turn), bench.state)
        if known is not None:
            outcomes[i] = _outcome(bench, variant, measured=known, before=True)
    for i, variant in enumerate(found):
        if i not in outcomes:
            best = best_of(list(outcomes.values()))
            outcomes[i] = _tried(bench, variant, best, lambda stage, i=i: progress(stage, i, len(found)))  # type: ignore[misc]
    return [outcomes[i] for i in range(len(found))]


def _tried(bench: Bench, variant: Variant, best: Outcome | None, say: Callable[[str], None]) -> Outcome:
    seconds = best.seconds if best is not None else None
    if not still_open(least_seconds(variant.plan, bench.turn), seconds):
        return _outcome(bench, variant, beaten_by=seconds)
    try:
        return _outcome(bench, variant, measured=_measured(bench, variant, say))
    except NotServed as e:
        return _outcome(bench, variant, problem=str(e))


def _outcome(
    bench: Bench,
    variant: Variant,
    measured: MeasuredSpeed | None = None,
    before: bool = False,
    problem: str = "",
    beaten_by: float | None = None,
) -> Outcome:
    plan, turn = variant.plan, bench.turn
    seconds = expected_seconds(plan, turn), least_seconds(plan, turn)
    return Outcome(variant, bench.argv(variant), *seconds, measured, before, problem, beaten_by)


def _measured(bench: Bench, variant: Variant, say: Callable[[str], None]) -> MeasuredSpeed:
    """Raises NotServed."""
    plan, turn, argv = variant.plan, bench.turn, bench.argv(variant)
    patience = max(expected_seconds(plan, turn) * _PATIENCE, _LEAST_PATIENCE_SECONDS)
    load_seconds = _LOAD_SECONDS + plan.request.model.weights_bytes / _SLOWEST_LOAD
    say(f"{variant.name}: loading")
    with passing(bench.binary, bench.path, argv, dict(plan.env), load_seconds) as served:
        _learn(bench, variant, served)
        prompt = _prompt(served.client, bench.text, turn.prompt)
        say(f"{variant.name}: warming up")
        served.client.timed(prompt[: _WARM_UP[0]], _WARM_UP[1], patience)
        say(f"{variant.name}: reading {turn.prompt:,} tokens, writing {turn.generate:,}")
        answer = served.client.timed(prompt, turn.generate, patience)
    speed = MeasuredSpeed(
        bench.setting,
        conditions(argv),
        time.time(),
        *_depth(turn),
        answer.prompt_rate,
        answer.predicted_rate,
        bench.asked,
    )
    keep_speed(speed, bench.state)
    return speed


def _learn(bench: Bench, variant: Variant, served: Served) -> None:
    learn_from_load(variant.plan, bench.binary.build, served.load_lines, served.pid, bench.state)


def _prompt(client: ServerClient, text: Text, tokens: int) -> tuple[int, ...]:
    """So many tokens of `text`, over and over, as the vocabulary begins a text."""
    start, filler = client.tokens("", special=True), client.tokens(text.content)
    if not filler:
        raise NotServed("llama-server made no tokens of a text")
    return (*start, *filler * (tokens // len(filler) + 1))[:tokens]


def _depth(turn: Turn) -> tuple[int, int]:
    return turn.prompt, turn.generate
