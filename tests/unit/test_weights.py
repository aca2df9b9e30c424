"""Weights, layers and refusals against what llama-server b11434 said: whole MiB, layer for layer."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment
from kvtui.memory.refusals import refusals
from kvtui.memory.weights import WeightBytes, weights
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

MIB = 2**20
DATA = Path(__file__).parent.parent / "data"
FREE = 24105 * MIB
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"

Row = dict[str, Any]


def _read(name: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def _models(headers: Mapping[str, Header]) -> Any:
    @cache
    def model(name: str, spec_types: tuple[str, ...]) -> ModelSpec:
        return model_from_header(headers[name], name, spec_types)

    return model


def _held(rows: list[Row], headers: Mapping[str, Header]) -> Iterator[tuple[Row, Assignment, WeightBytes]]:
    model = _models(headers)
    for row in rows:
        count = int(row["flags"][0].removeprefix("RPCx"))
        machine = Machine(tuple(Device(f"RPC{i}", FREE, FREE) for i in range(count)), HostMemory(10**12, 10**12))
        flags = parse_flags(row["flags"][1:])
        spec = model(row["model"], flags.context.spec_types)
        assignment = assign(spec, flags, machine)
        yield row, assignment, weights(spec, assignment, machine)


def test_weights_and_layers_are_the_servers(headers: Mapping[str, Header]) -> None:
    rows = [r for r in _read("placements.jsonl") if "refused" not in r]
    assert len(rows) > 80
    wrong = []
    for row, assignment, held in _held(rows, headers):
        layers = ["CPU" if d == CPU else f"RPC{d}" for d in assignment.layer_devices]
        devices = [[name, held.devices[int(name.removeprefix("RPC"))] // MIB] for name, _ in row["devices"]]
        near_host = abs(held.host / MIB - row["host"]) <= 3  # parts rounded down one by one
        if layers != row["layer_devices"] or devices != row["devices"] or not near_host:
            wrong.append((row["model"], row["flags"], devices, row["devices"], held.host / MIB, row["host"]))
    assert wrong == []


def test_what_cuda_has_no_kernel_for_stays_in_ram(loaded_headers: Mapping[str, Header]) -> None:
    """Decays and convolutions of scans: tiny models have shapes that no kernel takes, others' stay on the card."""
    model, wrong, left = _models(loaded_headers), [], set()
    rows = [r for file in sorted(DATA.glob("cuda-loads*.jsonl")) for r in _read(file.name) if "weights" in r]
    assert len(rows) > 40
    for row in rows:
        flags = parse_flags(row["flags"])
        cards = tuple(Device(f"CUDA{i}", free * MIB, total * MIB) for i, (free, total) in enumerate(row["devices_mib"]))
        machine, spec = Machine(cards, HostMemory(10**12, 10**12)), model(row["model"], flags.context.spec_types)
        assignment = assign(spec, flags, machine)
        held = [n / MIB for n in weights(spec, assignment, machine).devices]
        places = zip(spec.tensors, assignment.tensor_devices, strict=True)
        blocks = [(assignment.layer_devices[t.block], place) for t, place in places if t.block is not None]
        left.update(row["model"] for block, place in blocks if place == CPU != block)
        if any(abs(said - real) > PRINTED for said, real in zip(held, row["weights"], strict=True)):
            wrong.append((row["model"], row["flags"], held, row["weights"]))
    assert wrong == []
    assert {"mamba-dense", "jamba-dense"} <= left
    assert "mamba2-dense" not in left


def test_refused_where_the_server_refuses_and_nowhere_else(headers: Mapping[str, Header]) -> None:
    model, wrong = _models(headers), []
    rows = _read("refusals.jsonl")
    assert sum("refused" in r for r in rows) > 100
    for row in rows:
        try:
            context = parse_flags(row["flags"][1:]).context
            found = [f for f in refusals(model(row["model"], context.spec_types), context) if f.severity == "error"]
            said: list[str] = [f.message for f in found]
        except UsageError as e:
            said = [str(e)]
        if bool(said) != ("refused" in row):
            wrong.append((row, said))
    assert wrong == []


@pytest.mark.parametrize(
    "argv",
    [
        ["-ctk", "q9"],
        ["--nonsense"],
        ["-ot", "exps"],
        ["-np", "0"],
        ["-c"],
        ["-sm", "column"],
        ["--spec-type", "foo"],
        ["--spec-draft-n-max", "-1"],
        ["-ncmoe", "-1"],
        ["-ot", "(=CPU"],
    ],
)
def test_bad_flags_are_one_line(argv: list[str], headers: Mapping[str, Header]) -> None:
    machine = Machine((Device("RPC0", FREE, FREE),), HostMemory(10**12, 10**12))
    with pytest.raises(UsageError) as caught:
        assign(_models(headers)("llama-3.1-8b-q4_k_m", ()), parse_flags(argv), machine)
    assert "\n" not in str(caught.value)
