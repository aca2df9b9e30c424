"""The processor time of an estimate: `python -m tests.bench.estimate [MODEL...]`, on four simulated devices.

New: contexts, types and placements that nothing was asked of before, though of a model that was. Known: the same again. Asked: a
known one in 2 ms. Without MODEL: the bundled one (1,096 tensors)."""

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.estimate import estimate
from kvtui.model.load import load_model
from kvtui.model.spec import ModelSpec
from kvtui.tasks.demo import demo_request
from tests.bench.plan import CARDS, CONTEXTS, TYPES

ASKED_MS = 2
BATCHES = (512, 2048)  # n_ubatch


def _line(what: str, times: list[float]) -> str:
    p95 = statistics.quantiles(times, n=20)[-1]
    return f"{what}: median {statistics.median(times):.2f} ms, 95th percentile {p95:.2f} ms"


def _placements(model: ModelSpec, machine: Machine) -> list[Assignment]:
    """On devices alone, some blocks in RAM, experts in RAM, some blocks' networks in RAM."""
    half = model.n_layer // 2
    some = "|".join(str(i) for i in range(half, half + half // 2))
    given = ((), ("-ts", "3,2,2,1"), ("-ngl", str(half)), ("-cmoe",), ("-ot", rf"blk\.({some})\.ffn_.*=CPU"))
    return [assign(model, parse_flags(flags), machine) for flags in given]


def measure(model: ModelSpec, machine: Machine) -> None:
    """Prints a line for contexts that are new, for placements that are new, and for what is known."""
    placements = _placements(model, machine)
    times: dict[str, list[float]] = {"new context": [], "new placement": [], "known": []}
    for context in (
        replace(ContextParams(), n_ctx=n, type_k=t, type_v=t, n_ubatch=u) for n in CONTEXTS for t in TYPES for u in BATCHES
    ):
        compute = ComputeModel(model, context, machine)
        for again in (False, True):
            for i, placement in enumerate(placements):
                began = time.process_time()
                estimate(model, context, placement, machine, compute=compute)
                what = "known" if again else "new placement" if i else "new context"
                times[what].append((time.process_time() - began) * 1e3)
    for what, taken in times.items():
        print(_line(f"  {what}", taken) + (f" (asked: {ASKED_MS} ms)" if what == "known" else ""))


def main() -> None:
    """Prints three lines a model."""
    machine = Machine(parse_devices(tuple(f"CUDA{i}={card}" for i, card in enumerate(CARDS[:4]))), parse_ram("1000GiB@60GB/s"))
    for model in [load_model(Path(path)) for path in sys.argv[1:]] or [demo_request().model]:
        print(f"{model.name}, {len(model.tensors)} tensors")
        measure(model, machine)


if __name__ == "__main__":
    main()
