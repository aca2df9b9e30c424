"""Decode speed said against measured: `python -m tests.bench.speeds [--plot FILE.svg]`.

Fits the figures of data/pace.toml to the rows of tests/data/speeds.json, then again with each machine left out, and prints how
far off what is said of it then is (asked for: a median of 15 %)."""

import argparse
import json
import math
import statistics
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from kvtui.hardware.cards import all_cards, published
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.placement.decode import Part, Work
from kvtui.placement.pace import Pace, calibrated_seconds, pace
from tests.bench.plot import plot

ROWS = Path(__file__).parent.parent / "data" / "speeds.json"
FITTED = tuple(f.name for f in fields(Pace) if f.name not in ("ram_measured", "low", "high"))  # no row is by a measured one
# where the fit begins and, lightly, holds on to: what a machine left out does not say of itself
EXPECTED = Pace(
    device=1.1,
    ram=1.5,
    ram_measured=1,
    cache=2.0,
    handoff=40e-6,
    replayed=3e-6,
    launched=8e-6,
    launched_pascal=10e-6,
    low=1,
    high=1,
)
HOLD = 0.03  # weight of the expected figures beside that of a machine's rows
KINK = 0.1  # errors below it count by their square, those above by their size: odd rows do not pull


def case(row: dict[str, Any]) -> tuple[Work, Machine]:
    """A row as the product's own values. All devices of a row are of one kind, so that one stands for them."""
    card = next((c for c in all_cards() if c.name == row["card"]), None) or published(row["card"])
    assert card is not None, row["card"]
    name = {"CUDA": "CUDA0", "Vulkan": "Vulkan0", "ROCm": "ROCm0"}[row["backend"]]
    device = Device(name, 0, 0, card.bandwidth, compute_capability=card.compute_capability)
    ram = HostMemory(0, 0, row["ram_gb_s"] and row["ram_gb_s"] * 1e9)
    cache = row["cache_as_f16_bytes"]
    on_device = Part(row["device_bytes"], cache, cache, "fast", row["operations"])
    return Work((on_device, Part(row["ram_bytes"], 0, 0, "fast", 0)), row["handoffs"], 0, 0), Machine((device,), ram)


def fit(terms: np.ndarray, seconds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The figures that the rows agree with best; `terms`: seconds a row for one of each figure."""
    start = np.log([getattr(EXPECTED, name) for name in FITTED])

    def loss(at: np.ndarray) -> float:
        off = np.log(terms @ np.exp(at) / seconds)
        return float((weights * np.sqrt(off**2 + KINK**2)).sum() + HOLD * ((at - start) ** 2).sum())

    at, step, best = start.copy(), 0.5, loss(start)
    while step > 1e-3:
        moved = False
        for i in range(len(at)):
            for way in (step, -step):
                trial = at.copy()
                trial[i] += way
                if (value := loss(trial)) < best - 1e-9:
                    at, best, moved = trial, value, True
        step = step if moved else step / 2
    return np.exp(at)


def terms_of(rows: list[dict[str, Any]], unseen: bool) -> np.ndarray:
    """Seconds a row for one of each figure. `unseen`: nothing is known of Pascal but that it launches each operation."""
    found = []
    for row in rows:
        work, machine = case(row)
        ones = [Pace(**{f.name: float(f.name == name) for f in fields(Pace)}) for name in FITTED]
        line = [calibrated_seconds(work, machine, one) or 0.0 for one in ones]
        if unseen and row["card"] == "P100":
            launched, pascal = FITTED.index("launched"), FITTED.index("launched_pascal")
            line[launched], line[pascal] = line[pascal], 0.0
        found.append(line)
    return np.array(found)


def main() -> None:
    """Prints the figures, the errors a machine, and the spread."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--plot", type=Path, help="write said against measured here, as an SVG")
    rows = json.loads(ROWS.read_text(encoding="utf-8"))["rows"]
    machines = sorted({r["machine"] for r in rows})
    of = np.array([machines.index(r["machine"]) for r in rows])
    measured = np.array([r["tok_s"] for r in rows])
    weights = np.array([1 / math.sqrt((of == m).sum()) for m in of])
    known, unseen = terms_of(rows, False), terms_of(rows, True)
    everything = fit(known, 1 / measured, weights)
    for name, value in zip(FITTED, everything, strict=True):
        print(f"{name:16} {value:10.4g}   in data/pace.toml: {getattr(pace(), name):.4g}")
    said = np.zeros(len(rows))
    for m in range(len(machines)):
        without = fit(known[of != m], 1 / measured[of != m], weights[of != m])
        said[of == m] = 1 / (unseen[of == m] @ without)
    off = np.abs(said / measured - 1)
    for m, name in enumerate(machines):
        print(f"{name:44} {np.sum(of == m):3} rows, off by {np.median(off[of == m]):.0%}")
    by_machine = statistics.median(float(np.median(off[of == m])) for m in range(len(machines)))
    print(f"a machine left out: median {np.median(off):.1%} of the rows, {by_machine:.1%} of the machines (asked for: 15 %)")
    low, high = np.quantile(measured / said, (0.1, 0.9))
    print(f"spread: {low:.2f} to {high:.2f}; in data/pace.toml {pace().low} to {pace().high}")
    print(f"as shipped, all rows known: median {np.median(np.abs(1 / (known @ everything) / measured - 1)):.1%}")
    if (target := options.parse_args().plot) is not None:
        plot(target, [(r["machine"], float(s), r["tok_s"]) for r, s in zip(rows, said, strict=True)])


if __name__ == "__main__":
    main()
