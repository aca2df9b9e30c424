"""--embedding, --rerank and --pooling against loads of llama-server b11434 on CUDA."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.compute import ComputeModel
from kvtui.memory.refusals import refusals
from kvtui.model.load import model_from_header

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"
ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "data/pooled-loads.jsonl").read_text().splitlines()]
Row = dict[str, Any]


def _taken(headers: Mapping[str, Header], row: Row) -> list[float]:
    """MiB of every device's compute buffer, RAM's last."""
    model, flags = model_from_header(headers[row["model"]], row["model"]), parse_flags(row["flags"])
    devices = tuple(Device(f"CUDA{i}", f * MIB, t * MIB) for i, (f, t) in enumerate(row["devices_mib"]))
    machine = Machine(devices, HostMemory(1 << 40, 1 << 40))
    found = ComputeModel(model, flags.context, machine).bytes(assign(model, flags, machine))
    return [n / MIB for n in (*found.devices, found.host)]


def test_pooled_loads_to_the_printed_digit(loaded_headers: Mapping[str, Header]) -> None:
    rows = [row for row in ROWS if "refused" not in row]
    assert len(rows) > 80
    wrong = []
    for row in rows:
        real = [*row["compute"], row["host"]]
        said = _taken(loaded_headers, row)
        hidden = [PRINTED] * len(row["compute"]) + [2 * PRINTED]
        if any(abs(a - b) > h for a, b, h in zip(said, real, hidden, strict=True)):
            wrong.append((row["model"], " ".join(row["flags"]), said, real))
    assert wrong == []


def test_all_rows_of_a_large_vocabulary_are_hundreds_of_mib(loaded_headers: Mapping[str, Header]) -> None:
    row = next(r for r in ROWS if r["model"] == "gemma-3-27b-q4_k_m" and r["flags"][2:] == ["--embedding"])
    plain = _taken(loaded_headers, {**row, "flags": row["flags"][:2]})
    assert _taken(loaded_headers, row)[1] - plain[1] > 300
    assert _taken(loaded_headers, {**row, "flags": [*row["flags"][:2], "--pooling", "none"]}) == plain


def test_a_batch_that_slots_do_not_divide_stops_mean_pooling(loaded_headers: Mapping[str, Header]) -> None:
    (row,) = (r for r in ROWS if "refused" in r)
    model = model_from_header(loaded_headers[row["model"]], row["model"])

    def codes(*flags: str) -> set[str]:
        return {f.code for f in refusals(model, parse_flags((*row["flags"], *flags)).context)}

    assert codes() == {"pooling-batch"}
    assert codes("--pooling", "last") == codes("-ub", "510") == codes("-np", "4") == set()


def test_the_last_word_on_pooling_counts() -> None:
    asked = parse_flags(("--rerank", "--pooling", "mean")).context
    assert (asked.embeddings, asked.pooling) == (True, "mean")
    assert parse_flags(("--pooling", "mean", "--reranking")).context.pooling == "rank"
    assert not parse_flags(("--pooling", "none")).context.all_rows
    with pytest.raises(UsageError, match="one of none, mean, cls, last, rank"):
        parse_flags(("--pooling", "max"))
