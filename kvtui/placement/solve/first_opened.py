"""Which device is opened first: whatever it holds, it stages weights in RAM for every prompt, so its link bounds prompts and
its memory has the buffers for them (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur)."""

from kvtui.hardware.device import CPU
from kvtui.placement.solve.candidate import NEAR, Candidate
from kvtui.placement.solve.fractional import bound
from kvtui.placement.solve.problem import Problem
from kvtui.placement.solve.yardstick import link_of

_DECODE_GAIN = 1.02  # an order of one's own is worth saying for so much faster decode,
_PROMPT_GAIN = 1.1  # or for so much faster prompts


def better_order(problem: Problem, best: Candidate) -> tuple[int, ...] | None:
    """The order in which devices should be opened instead, None: as they are. Judged with bytes that may be cut anywhere, by
    the buffers that `best` needs."""
    request = problem.request
    opened = problem.order if request.opened is None else request.opened
    stages = problem.compute.derived and request.context.op_offload and CPU in (*best.homes, *best.places)
    if len(opened) < 2 or not stages or request.beside.projector is not None:
        return None  # a projector goes to the device that is opened first: it would move along
    working = [use.working_bytes for use in best.estimate.devices]
    now = opened[0]
    base = min((working[d] for d in opened[1:] if working[d]), default=0)
    staging = max(working[now] - base, 0)
    seconds = {}
    for first in opened:
        rooms = [cap - base - (staging if d == first else 0) for d, cap in enumerate(request.capacities)]
        if first == now or rooms[first] >= 0:
            seconds[first] = bound(problem, rooms)
    least = min(seconds.values())
    near = [d for d in seconds if seconds[d] <= least * NEAR]
    first = max(near, key=lambda d: (link_of(problem, d), -seconds[d]))
    faster = seconds[now] > seconds[first] * _DECODE_GAIN or link_of(problem, first) > link_of(problem, now) * _PROMPT_GAIN
    if first == now or not (faster or best.over_bytes):
        return None
    return (first, *[d for d in opened if d != first])
