"""Compute buffers on CUDA against loads of llama-server b11434: no tolerance but the digits it rounds away."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute import ComputeModel
from kvtui.memory.compute.engine import Engine
from kvtui.memory.compute.graphs import covered
from kvtui.memory.compute.tape import F16, Node, Tape, strides
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"
DATA = Path(__file__).parents[1] / "data"
Case = tuple[dict[str, Any], Engine, Assignment]


@pytest.fixture(scope="module")
def cases(loaded_headers: Mapping[str, Header]) -> list[Case]:
    @cache
    def model(name: str) -> ModelSpec:
        return model_from_header(loaded_headers[name], name)

    found = []
    for line in (x for file in sorted(DATA.glob("cuda-loads*.jsonl")) for x in file.read_text().splitlines()):
        row = json.loads(line)
        if "build" in row:  # another one: test_other_builds.py
            continue
        spec = model(row["model"])
        if covered(spec):
            flags = parse_flags(row["flags"])
            devices = tuple(Device(f"CUDA{i}", f * MIB, t * MIB) for i, (f, t) in enumerate(row["devices_mib"]))
            machine = Machine(devices, HostMemory(1 << 40, 1 << 40))
            found.append((row, Engine(spec, flags.context, machine), assign(spec, flags, machine)))
    return found


def _said(row: dict[str, Any], peaks: tuple[int, ...]) -> Iterator[tuple[float, float, float]]:
    """(said, real, what rounding hides): the host's figure is a sum of two."""
    hidden = [PRINTED] * len(row["compute"]) + [2 * PRINTED]
    return zip((p / MIB for p in peaks), (*row["compute"], row["host"]), hidden, strict=True)


def test_peaks_to_the_printed_digit(cases: list[Case]) -> None:
    assert len({row["model"] for row, _, _ in cases}) >= 75
    wrong = [
        (row["model"], " ".join(row["flags"]), said, real)
        for row, engine, assignment in cases
        for said, real, hidden in _said(row, engine.peaks(assignment))
        if abs(said - real) > hidden
    ]
    assert wrong == []


def test_blocks_that_stand_for_all_take_what_all_take(cases: list[Case]) -> None:
    wrong = [
        (row["model"], " ".join(row["flags"]))
        for row, engine, assignment in cases
        if engine.peaks(assignment) != engine.peaks_of(assignment, tuple(range(engine.model.n_layer)))
    ]
    assert wrong == []


def test_rpc_devices_are_sent_every_operation(headers: Mapping[str, Header]) -> None:
    """ggml-rpc.cpp, ggml_backend_rpc_device_supports_op: scans that CUDA has no kernel for run there. Dry runs, whole MiB."""
    rows = [json.loads(line) for line in (DATA / "dry-runs.jsonl").read_text().splitlines()]
    held = [r for r in rows if r["model"] in ("mamba-dense", "jamba-dense", "plamo2-dense") and "refused" not in r]
    assert len(held) > 15
    wrong = []
    for row in held:
        devices = tuple(Device(f"RPC{i}", 24105 * MIB, 24105 * MIB) for i in range(len(row["devices"])))
        machine, flags = Machine(devices, HostMemory(1 << 40, 1 << 40)), parse_flags(row["flags"][1:])
        spec = model_from_header(headers[row["model"]], row["model"])
        said = ComputeModel(spec, flags.context, machine).bytes(assign(spec, flags, machine))
        host = sum(part["compute"] for part in row["host_parts"].values())
        if [n // MIB for n in (*said.devices, said.host)] != [*(d["compute"] for d in row["devices"]), host]:
            wrong.append((row["model"], row["flags"], [n / MIB for n in (*said.devices, said.host)]))
    assert wrong == []


def _terms(compute: ComputeModel, *flags: str) -> list[dict[str, tuple[float, int]]]:
    assignment = assign(compute.model, parse_flags(flags), compute.machine)
    return [{t.name: (t.n_bytes / MIB, t.count) for t in buffer} for buffer in compute.terms(assignment)]


def test_terms_name_what_is_staged_and_what_is_copied(headers: Mapping[str, Header]) -> None:
    machine = Machine(tuple(Device(f"CUDA{i}", 24000 * MIB, 24576 * MIB) for i in range(2)), HostMemory(1 << 40, 1 << 40))

    def first(name: str, *flags: str) -> dict[str, tuple[float, int]]:
        spec = model_from_header(headers[name], name)
        return _terms(ComputeModel(spec, parse_flags(flags).context, machine), *flags)[0]

    staged = first("qwen3-30b-a3b-q4_k_m", "-c", "32768", "-cmoe")
    n_bytes, count = staged["staged: blk.0.ffn_down_exps"]
    assert (round(n_bytes, 2), count) == (157.5, 1)
    alone = first("qwen3-30b-a3b-q4_k_m", "-c", "32768", "-ot", r"blk\.30\.ffn_.*_exps=CPU")
    assert {name for name in alone if name.startswith("staged")} <= {
        f"staged: blk.30.ffn_{x}_exps" for x in ("down", "gate", "up")
    }
    assert "staged: blk.30.ffn_down_exps" in alone or "staged: blk.30.ffn_up_exps" in alone
    pipelined = first("llama-3.1-8b-q4_k_m", "-c", "32768", "-np", "1", "-ctk", "q8_0", "-ctv", "q8_0")
    assert pipelined["KQ mask"] == (128, 4)
    assert pipelined["K as f16"] == pipelined["V as f16"] == (64, 1)


def test_terms_sum_up_to_the_peak(cases: list[Case]) -> None:
    partial = [c for c in cases if "-ngl" in c[0]["flags"] and ("off" in c[0]["flags"] or "-ot" in c[0]["flags"])]
    of_tokens = 0
    for row, engine, assignment in (*cases[::9], *partial):
        peaks = engine.peaks(assignment)
        sums = tuple(sum(t.n_bytes for t in buffer) for buffer in engine.terms(assignment))
        assert sums == peaks, row["flags"]
        blocks = tuple(range(engine.model.n_layer))
        of_tokens += any(p.n_bytes < n for p, n in zip(engine.run(assignment, blocks, prompt=True)[2], peaks, strict=True))
    assert of_tokens >= 1  # a token's graph decides there


def test_a_transposed_view_is_as_large_as_what_it_is_a_view_of() -> None:
    """ggml_nbytes: the first dimension's strides lie between values, not behind them."""
    shape = (8192, 16384, 1, 1)
    v = Node("none", F16, shape, strides(F16, shape))
    assert Tape().transpose(v).n_bytes == v.n_bytes == 8192 * 16384 * 2


def test_a_family_without_a_graph_keeps_the_formulas(headers: Mapping[str, Header]) -> None:
    spec = replace(model_from_header(headers["qwen3-dense"], "qwen3-dense"), architecture="unheard-of")
    machine = Machine((Device("CUDA0", 24000 * MIB, 24576 * MIB),), HostMemory(1 << 40, 1 << 40))
    compute = ComputeModel(spec, parse_flags(()).context, machine)
    assignment = assign(spec, parse_flags(()), machine)
    assert not compute.derived
    assert compute.bytes(assignment).basis.startswith("extrapolated")
    assert compute.terms(assignment) == ()


def test_a_device_that_is_not_opened_is_as_if_it_were_not_there(headers: Mapping[str, Header]) -> None:
    cards = tuple(Device(f"CUDA{i}", 24000 * MIB, 24576 * MIB) for i in range(3))
    ram = HostMemory(1 << 40, 1 << 40)
    spec = model_from_header(headers["qwen3-30b-a3b-q4_k_m"], "qwen3")
    flags = ("-c", "32768", "-np", "1", "-cmoe")

    def taken(machine: Machine, *more: str) -> tuple[tuple[int, ...], int]:
        given = parse_flags((*flags, *more))
        found = ComputeModel(spec, given.context, machine).bytes(assign(spec, given, machine))
        return found.devices, found.host

    (first, last), host = taken(Machine((cards[1], cards[2]), ram))
    assert taken(Machine(cards, ram), "-dev", "CUDA1,CUDA2") == ((0, first, last), host)
