"""Compute buffers on RPC devices: what a load takes, and what the server's own dry run says instead."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.compute import ComputeBytes, ComputeModel
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"
DATA = Path(__file__).parents[1] / "data"
MTP = "--spec-type"  # its context shares the dry run's figures
# An indexer's cache of a type that CUDA has no kernel for, which an RPC device takes; and one whose K/V is in RAM.
APART = {("deepseek32-moe", "iq4_nl"), ("glm-dsa-moe", "iq4_nl"), ("dots3note-moe", "iq4_nl"), ("glm5-next-moe", "-nkvo")}
LARGE_MIB = 10_000
Row = dict[str, Any]


def _rows(file: str) -> list[Row]:
    return [row for line in (DATA / file).read_text().splitlines() if "refused" not in (row := json.loads(line))]


@pytest.fixture(scope="module")
def model(loaded_headers: Mapping[str, Header]) -> Any:
    @cache
    def read(name: str) -> ModelSpec:
        return model_from_header(loaded_headers[name], name)

    return read


def _both(spec: ModelSpec, row: Row, build: Build) -> tuple[ComputeBytes, ComputeBytes | None]:
    """(a load's, a dry run's)."""
    count, flags = int(row["flags"][0].removeprefix("RPCx")), parse_flags(row["flags"][1:], build=build)
    machine = Machine(tuple([Device(f"RPC{i}", 24105 * MIB, 24105 * MIB) for i in range(count)]), HostMemory(1 << 40, 1 << 40))
    compute, where = ComputeModel(spec, flags.context, machine, build), assign(spec, flags, machine)
    return compute.bytes(where), compute.dry_run_bytes(where)


def _known(row: Row) -> bool:
    return MTP not in row["flags"] and not any(row["model"] == name and word in row["flags"] for name, word in APART)


@pytest.mark.parametrize(
    ("file", "build", "every"), [("dry-runs-b11549.jsonl", Build(11549), 4), ("dry-runs.jsonl", DEFAULT_BUILD, 12)]
)
def test_dry_runs_are_derived_in_whole_mib(model: Any, file: str, build: Build, every: int) -> None:
    rows = [row for row in _rows(file) if _known(row)]
    held = [row for i, row in enumerate(rows) if i % every == 0 or sum(d["model"] for d in row["devices"]) > LARGE_MIB]
    wrong, apart = [], 0
    for row in held:
        load, dry = _both(model(row["model"]), row, build)
        if dry is None:  # no graph of that family
            continue
        said = [*(d["compute"] for d in row["devices"]), sum(part["compute"] for part in row["host_parts"].values())]
        apart += [n // MIB for n in (*load.devices, load.host)] != said
        if [n // MIB for n in (*dry.devices, dry.host)] != said:
            wrong.append((row["model"], " ".join(row["flags"]), [n / MIB for n in (*dry.devices, dry.host)], said))
    assert wrong == []
    assert len(held) > 80
    assert apart > 25


def test_loads_on_rpc_devices_to_the_printed_digit(model: Any) -> None:
    rows = _rows("rpc-loads.jsonl")
    assert len({row["model"] for row in rows}) >= 10
    wrong, apart = [], 0
    for row in rows:
        load, dry = _both(model(row["model"]), row, DEFAULT_BUILD)
        apart += dry is not None and dry != load
        for said, real in zip((*load.devices, load.host), (*row["compute"], row["host"]), strict=True):
            if abs(said / MIB - real) > PRINTED:
                wrong.append((row["model"], " ".join(row["flags"]), said / MIB, real))
    assert wrong == []
    assert apart >= 8
