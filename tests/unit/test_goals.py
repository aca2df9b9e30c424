"""What a plan is best at: turns, contexts, memory; and what each gives up."""

from collections.abc import Mapping

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.aim import aimed, turn_seconds
from kvtui.placement.goals import Turn, parse_aim
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.speed import Speed

Headers = Mapping[str, Header]
CARD = "CUDA0=11GiB/12GiB@360GB/s,link=16GB/s"


def asked(headers: Headers, name: str = "qwen3-30b-a3b-q4_k_m", **context: object) -> Request:
    params = ContextParams(n_parallel=1, **context)  # type: ignore[arg-type]
    return Request(model_from_header(headers[name], name), params, Machine(parse_devices((CARD,)), parse_ram("64GiB@57GB/s")))


def said(request: Request) -> str:
    return next(f.message for f in quick_plan(request).findings if f.code == "goal")


def test_a_turn_is_its_new_tokens_and_its_answer_at_the_fill_it_meets() -> None:
    """1,000 new tokens at 500 a second, 100 at half fill: between 50 and 25 tokens a second in time, 0.03 s each."""
    speed = Speed(0.04, 25.0, 50.0, 20.0, 60.0, 500.0, "link", False)
    assert turn_seconds(speed, Turn(4000, 3000, 192), 8192) == pytest.approx(2.0 + 192 * 0.03)


@pytest.mark.parametrize(
    "text",
    ["turn", "turn:1,2", "turn:100,200,5", "turn:0,0,0", "turn:a,b,c", "context:", "context:-1", "context:inf", "memory:1", ""],
)
def test_a_goal_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"--goal"):
        parse_aim(text)


def test_a_goal_reads_as_it_is_written() -> None:
    for text in ("decode", "turn:8000,7000,300", "context", "context:20", "memory"):
        assert str(parse_aim(text)) == text


def test_long_prompts_take_a_large_ubatch_and_say_what_it_costs(headers: Headers) -> None:
    long = aimed(asked(headers, n_ctx=32768), parse_aim("turn:30000,0,10"), frozenset({"context"}))
    assert long.context.n_ubatch == long.context.n_batch == 4096
    assert "less than with 512" in said(long)
    short = aimed(asked(headers, n_ctx=32768), parse_aim("turn:30000,30000,2000"), frozenset({"context"}))
    assert short.context.n_ubatch == 512
    kept = aimed(asked(headers, n_ctx=32768, n_ubatch=256), parse_aim("turn:30000,0,10"), frozenset({"context", "ubatch"}))
    assert kept.context.n_ubatch == 256


def test_the_largest_context_keeps_the_speed_that_is_asked(headers: Headers) -> None:
    far = quick_plan(aimed(asked(headers), parse_aim("context"), frozenset()))
    assert far.speed is not None
    least = far.speed.tokens_per_second * 1.2
    fast = quick_plan(aimed(asked(headers), parse_aim(f"context:{least}"), frozenset({"types"})))
    assert fast.speed is not None
    assert fast.fits
    assert fast.speed.tokens_per_second >= least
    assert 0 < fast.request.context.n_ctx < far.request.context.n_ctx


def test_types_that_are_free_reach_further(headers: Headers) -> None:
    """An 8B dense model on a card that holds 11 GiB and next to no RAM: f16 has no room for 131,072 tokens, q8_0 has."""
    dense = asked(headers, "llama-3.1-8b-q4_k_m")
    small = Request(dense.model, dense.context, Machine(dense.machine.devices, parse_ram("1GiB@57GB/s")))
    free = aimed(small, parse_aim("context"), frozenset())
    held = aimed(small, parse_aim("context"), frozenset({"types"}))
    assert free.context.n_ctx > held.context.n_ctx
    assert (held.context.type_k, held.context.type_v) == ("f16", "f16")
    assert free.context.type_k != "f16"
    assert f"{free.context.n_ctx - held.context.n_ctx:,} more than f16/f16 reaches" in said(free)


def test_least_memory_takes_a_smaller_pair_of_good_quality(headers: Headers) -> None:
    small = aimed(asked(headers, "llama-3.1-8b-q4_k_m", n_ctx=32768), parse_aim("memory"), frozenset({"context"}))
    assert small.context.type_k != "f16"
    assert "of the cache less" in said(small)


@pytest.mark.parametrize(
    ("goal", "given", "word"), [("context", "context", "leave out -c"), ("memory", "types", "leave out -ctk")]
)
def test_what_was_given_is_not_overruled(headers: Headers, goal: str, given: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        aimed(asked(headers), parse_aim(goal), frozenset({given}))
