"""The physical batch that a plan chooses where experts are in RAM."""

from dataclasses import replace

import pytest

from kvtui.placement.plan import make_plan, quick_plan, searched_plan, with_batch
from kvtui.placement.request import Request
from kvtui.tasks.demo import demo_request
from kvtui.tui.keys.changes import apply_edit


def asked(**context: int) -> Request:
    """The bundled model, whose experts spill, and nobody's -ub."""
    request = demo_request()
    return replace(request, ubatch_open=True, context=replace(request.context, **context))  # type: ignore[arg-type]


def test_a_larger_batch_makes_prompts_faster_and_decode_hardly_slower() -> None:
    chosen, plain = searched_plan(asked()), searched_plan(replace(asked(), ubatch_open=False))
    assert chosen.speed is not None
    assert plain.speed is not None
    assert chosen.fits
    n = chosen.request.context.n_ubatch
    assert n > plain.request.context.n_ubatch == 512
    assert chosen.request.context.n_batch >= n
    assert chosen.argv[chosen.argv.index("-ub") + 1] == str(n)
    assert int(chosen.argv[chosen.argv.index("-b") + 1]) >= n
    assert chosen.speed.decode_seconds_per_token <= plain.speed.decode_seconds_per_token * 1.01
    gain = chosen.speed.prompt_tokens_per_second / plain.speed.prompt_tokens_per_second
    said = next(f for f in chosen.findings if f.code == "ubatch-chosen")
    assert gain > 1.5
    assert f"{gain:.1f}x as fast" in said.message


def test_the_first_answer_leaves_the_batch_and_every_later_plan_has_it() -> None:
    request = asked()
    first = quick_plan(request)
    assert first.request.context.n_ubatch == 512
    later = with_batch(first)
    assert later.request.context.n_ubatch > 512
    assert later == searched_plan(request)
    assert with_batch(later) is later
    made = make_plan(request)
    assert made.request == later.request
    assert [f for f in made.findings if f.code == "ubatch-chosen"] == [f for f in later.findings if f.code == "ubatch-chosen"]


@pytest.mark.parametrize(
    "request_",
    [
        replace(asked(n_ubatch=1024), ubatch_open=False),
        asked(n_ctx=512),
        replace(asked(), context=replace(asked().context, op_offload=False)),
    ],
    ids=["asked for", "no longer context", "no link crossed"],
)
def test_otherwise_it_stays(request_: Request) -> None:
    plan = searched_plan(request_)
    assert plan.request.context.n_ubatch == request_.context.n_ubatch
    assert not any(f.code == "ubatch-chosen" for f in plan.findings)


def test_a_batch_that_is_typed_stays_and_nothing_typed_leaves_it_open() -> None:
    typed = apply_edit(asked(), "ubatch", "1024").request
    assert (typed.context.n_ubatch, typed.ubatch_open) == (1024, False)
    again = apply_edit(typed, "ubatch", "").request
    assert (again.context.n_ubatch, again.ubatch_open) == (512, True)
