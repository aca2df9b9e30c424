"""How long a turn takes, a prompt and its answer: as expected, and at the least."""

import math
from dataclasses import dataclass

from kvtui.cache.layout import physical_batch
from kvtui.hardware.device import CPU
from kvtui.memory.assignment import opened_of
from kvtui.placement.plan import Plan
from kvtui.placement.prompt import prompt_of

# Tokens that together choose all experts but half a percent of the sparsest models (8 of 384 or 10 of 512 a token): only a
# batch of so many is sure to read all weights.
READS_ALL_TOKENS = 256


@dataclass(frozen=True)
class Turn:
    """Tokens of a prompt of which nothing is cached, and of its answer."""

    prompt: int
    generate: int

    def seconds(self, prompt_rate: float, decode_rate: float) -> float:
        """At these tokens a second."""
        return self.prompt / prompt_rate + self.generate / decode_rate


def expected_seconds(plan: Plan, turn: Turn) -> float:
    """By the calibrated speeds at this depth; by the yardstick where a bandwidth is not known: for comparison."""
    model, context = plan.request.model, plan.request.context
    batch = max(physical_batch(model, context), 1)
    cells = max(context.cells(model.n_ctx_train), 1)
    fill = min(turn.prompt / 2 / cells, 1.0)
    prompt = prompt_of(model, context, plan.assignment, plan.request.machine, fill).seconds
    decode = plan.found.best.score.seconds
    if plan.speed is not None:
        share = min((turn.prompt + turn.generate / 2) / cells, 1.0)
        decode = (1 - share) / plan.speed.tokens_per_second_empty + share / plan.speed.tokens_per_second
    return math.ceil(turn.prompt / batch) * batch * prompt + turn.generate * decode


def least_seconds(plan: Plan, turn: Turn) -> float:
    """What it takes if all goes as well as anywhere: decode at the upper end of its range, and a prompt's weights read once a
    batch. 0 where a bandwidth is not known: nothing is ruled out then."""
    if plan.speed is None:
        return 0.0
    return turn.generate / plan.speed.high + _least_prompt_seconds(plan, turn.prompt)


def _least_prompt_seconds(plan: Plan, tokens: int) -> float:
    request = plan.request
    devices = request.machine.devices
    opened = opened_of(plan.assignment.opened, len(devices))
    if CPU in plan.assignment.tensor_devices and opened and request.context.op_offload:
        first = devices[opened[0]]
        if first.link is None or first.backend == "RPC":  # an RPC device takes no weights that lie in RAM (ggml-rpc.cpp)
            return 0.0
    batch = physical_batch(request.model, request.context)
    if batch < READS_ALL_TOKENS:
        return 0.0
    whole, rest = divmod(tokens, batch)
    batches = whole + (rest >= READS_ALL_TOKENS)
    least = prompt_of(request.model, request.context, plan.assignment, request.machine, share=0.0).least_seconds
    return batches * batch * least


def still_open(least: float, best: float | None) -> bool:
    """Whether a plan that takes `least` seconds at the least can still beat the best that was measured."""
    return best is None or least < best
