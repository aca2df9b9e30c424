"""How long the first plan takes, and how far it is from the solver's: `python -m tests.bench.plan [--solve]`.

The bundled model (1,096 tensors, 620 GiB) on four and on eight simulated devices, at contexts and types as keys would ask."""

import statistics
import sys
import time
from dataclasses import replace

from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices
from kvtui.placement.plan import make_plan, quick_plan
from kvtui.placement.request import Request
from kvtui.tasks.demo import demo_request

CARDS = ("24GiB@936GB/s", "24GiB@936GB/s", "24GiB@504GB/s", "24GiB@360GB/s", "48GiB@768GB/s", "16GiB@448GB/s",
         "32GiB@1790GB/s", "12GiB@360GB/s")  # fmt: skip
CONTEXTS = (4096, 32768, 65536, 132000)
TYPES = ("f16", "q8_0", "q5_1", "q4_0")


def requests(count: int) -> list[Request]:
    """One a context and type, all on the first `count` cards."""
    base = demo_request()
    devices = parse_devices(tuple(f"CUDA{i}={card}" for i, card in enumerate(CARDS[:count])))
    machine = Machine(devices, base.machine.ram)
    return [
        replace(base, machine=machine, context=replace(base.context, n_ctx=n, type_k=t, type_v=t))
        for n in CONTEXTS
        for t in TYPES
    ]


def main() -> None:
    """Prints a line a number of devices."""
    solve = "--solve" in sys.argv
    quick_plan(requests(4)[0])  # imports
    for count in (1, 2, 4, 8):
        times, gaps, behind = [], [], []
        for request in requests(count):
            began = time.perf_counter()
            plan = quick_plan(request)
            times.append((time.perf_counter() - began) * 1e3)
            gaps.append(plan.optimality.remaining or 0.0)
            if solve and plan.speed:
                best = make_plan(request)
                assert best.speed is not None
                behind.append(plan.speed.decode_seconds_per_token / best.speed.decode_seconds_per_token - 1)
        p95 = statistics.quantiles(times, n=20)[-1]
        line = f"{count} devices: median {statistics.median(times):.1f} ms, 95th percentile {p95:.1f} ms, "
        line += f"at most {max(gaps):.2%} from the best"
        if behind:
            line += f"; behind the solver: mean {statistics.mean(behind):.2%}, worst {max(behind):.2%}"
        print(line)


if __name__ == "__main__":
    main()
