"""How long the K/V table takes: `python -m tests.bench.table MODEL...`, all 81 pairs with both contexts.

Each model on one large card (asked: 300 ms where all is on devices) and on a small one beside RAM (asked: 1.5 s)."""

import sys
import time
from dataclasses import replace
from pathlib import Path

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.model.load import load_model
from kvtui.placement.advice import advised
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import pair_rows

MACHINES = (("24GiB@1008GB/s",), ("24GiB@936GB/s", "24GiB@936GB/s"), ("6GiB@360GB/s",))


def main() -> None:
    """Prints a line a model and machine."""
    for path in sys.argv[1:]:
        model = load_model(Path(path))
        for cards in MACHINES:
            devices = parse_devices(tuple(f"CUDA{i}={card}" for i, card in enumerate(cards)))
            machine = Machine(devices, parse_ram("700GiB@60GB/s"))
            plan = quick_plan(Request(model, replace(ContextParams(), n_ctx=32768), machine))
            where = "with RAM" if CPU in (*plan.homes, *plan.places) else "on devices"
            times = []
            for every, contexts in ((True, True), (True, False), (False, True)):
                began = time.perf_counter()
                advised(pair_rows(plan, all_pairs=every, contexts=contexts))
                times.append((time.perf_counter() - began) * 1e3)
            print(
                f"{model.name}, {' '.join(cards)}, {where}: 81 pairs {times[0]:,.0f} ms, without contexts {times[1]:,.0f} ms, "
                f"the pairs worth a look {times[2]:,.0f} ms"
            )


if __name__ == "__main__":
    main()
