"""Loads of other builds than b11434: compute buffers, expert caches, what is refused, and the words of their command lines."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.build import DEFAULT_BUILD, Build, parse_build
from kvtui.base.findings import DOES_NOT_FIT, UsageError
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.described import Described, describe_flags
from kvtui.memory.expert_cache import CACHED_BATCH
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"
SLOT_LOOKUPS_MIB = 0.25
DATA = Path(__file__).parents[1] / "data"
NEWEST, OLDEST = Build(11549), Build(10644)
Row = dict[str, Any]


def _rows(file: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / file).read_text().splitlines()]


@pytest.fixture(scope="module")
def models(loaded_headers: Mapping[str, Header]) -> Any:
    @cache
    def model(name: str) -> ModelSpec:
        return model_from_header(loaded_headers[name], name)

    return model


def described(models: Any, row: Row, build: Build | None = None) -> Described:
    """What `kvtui estimate` says of a row."""
    build = build or parse_build(row["build"])
    devices = tuple(Device(f"CUDA{i}", f * MIB, t * MIB) for i, (f, t) in enumerate(row["devices_mib"]))
    machine = Machine(devices, HostMemory(1 << 40, 1 << 40))
    flags = parse_flags(row["flags"], build=build)
    return describe_flags(models(row["model"]), machine, (0,) * len(devices), build, flags)


def _hidden(row: Row) -> float:
    """MiB of a device's buffer that are not told here: in batches of up to 32 tokens the graph looks up where the experts are
    in the cache, which has some of its tensors elsewhere."""
    small = "-ub" in row["flags"] and int(row["flags"][row["flags"].index("-ub") + 1]) <= CACHED_BATCH
    return SLOT_LOOKUPS_MIB if small and "expert_cache" in row else PRINTED


def _refused(value: Described) -> bool:
    return any(f.severity == "error" and f.code != DOES_NOT_FIT for f in value.findings)


def test_loads_of_the_newest_build_to_the_printed_digit(models: Any) -> None:
    wrong = []
    for row in _rows("cuda-loads-b11549.jsonl"):
        value = described(models, row)
        assert _refused(value) == ("refused" in row), row
        if "refused" in row:
            continue
        found = value.estimate
        said = [d.compute_bytes / MIB for d in found.devices]
        hidden = [_hidden(row)] * len(said)
        if any(abs(a - b) > h for a, b, h in zip(said, row["compute"], hidden, strict=True)):
            wrong.append((row["model"], " ".join(row["flags"]), said, row["compute"]))
        if abs(found.host.compute_bytes / MIB - row["host"]) > 2 * PRINTED:
            wrong.append((row["model"], " ".join(row["flags"]), found.host.compute_bytes / MIB, row["host"]))
    assert wrong == []


def test_expert_caches_to_the_printed_digit(models: Any) -> None:
    rows = [row for row in _rows("cuda-loads-b11549.jsonl") if "expert_cache" in row]
    assert len(rows) >= 40
    for row in rows:
        found = described(models, row).estimate
        for use, real in zip(found.devices, row["expert_cache"], strict=True):
            assert abs(use.expert_cache_bytes / MIB - real) <= PRINTED, row
            assert use.used_bytes >= use.expert_cache_bytes + use.compute_bytes


def test_refusals_of_an_expert_cache_are_the_servers_own(models: Any) -> None:
    refused = [row for row in _rows("cuda-loads-b11549.jsonl") if "refused" in row]
    assert refused
    for row in refused:
        reasons = [f.message for f in described(models, row).findings if f.severity == "error"]
        assert any(row["refused"].endswith(reason) for reason in reasons), row


MTP = "draft-mtp"
# Its block of MTP has no attention: the server's load crashes, after a dry run that never got there.
NEVER_LOADS = {("mtp-qwen3next-moe", "-c 4096 --spec-type draft-mtp")}
# Its own load takes what is predicted, 4.80 MiB; its dry run says 5.
DRY_RUN_APART = {("grown-cohere2moe-moe", "-c 9000 -np 3 -ts 1,1 -ub 100")}


def _dry_run(headers: Mapping[str, Header], row: Row, build: Build) -> Described:
    devices = tuple(Device(f"RPC{i}", 24105 * MIB, 24105 * MIB) for i in range(len(row["devices"])))
    flags = parse_flags(row["flags"][1:], build=build)
    model = model_from_header(headers[row["model"]], row["model"], flags.context.spec_types)
    return describe_flags(model, Machine(devices, HostMemory(1 << 40, 1 << 40)), (0,) * len(devices), build, flags)


def _name(row: Row) -> tuple[str, str]:
    return row["model"], " ".join(row["flags"][1:])


@pytest.fixture(scope="module")
def newest(loaded_headers: Mapping[str, Header]) -> list[tuple[Row, Described]]:
    rows = [row for row in _rows("dry-runs-b11549.jsonl") if "refused" not in row and _name(row) not in NEVER_LOADS]
    return [(row, _dry_run(loaded_headers, row, NEWEST)) for row in rows]


def test_weights_and_caches_of_the_newest_builds_dry_runs_in_whole_mib(newest: list[tuple[Row, Described]]) -> None:
    assert len(newest) > 440
    assert len({value.model.architecture for _, value in newest}) > 130
    wrong = []
    for row, value in newest:
        said = [(d.weights_bytes // MIB, d.context_bytes // MIB) for d in value.estimate.devices]
        if said != [(d["model"], d["context"]) for d in row["devices"]] or _refused(value):
            wrong.append((row["model"], " ".join(row["flags"]), said, row["devices"]))
    assert wrong == []


def test_compute_of_the_newest_build_is_met_where_that_of_b11434_is(
    newest: list[tuple[Row, Described]], dry_runs: tuple[Row, ...], loaded_headers: Mapping[str, Header]
) -> None:
    """RPC devices that share a model are not all met, in either build. With an MTP context a dry run ends before the model's
    own buffers are reserved again for it (llama-context.cpp, set_embeddings_nextn)."""
    before = {(row["model"], *row["flags"]): row for row in dry_runs}
    wrong, changed = [], 0
    for row, value in newest:
        old = before.get((row["model"], *row["flags"]))
        if old is None or MTP in row["flags"] or _name(row) in DRY_RUN_APART:
            continue
        changed += old["devices"] != row["devices"]
        if _compute(value) != _compute_said(row) and _compute(_dry_run(loaded_headers, old, DEFAULT_BUILD)) == _compute_said(old):
            wrong.append((*_name(row), _compute(value), _compute_said(row)))
    assert changed >= 14
    assert wrong == []


def _compute(value: Described) -> list[int]:
    return [part.compute_bytes // MIB for part in (*value.estimate.devices, value.estimate.host)]


def _compute_said(row: Row) -> list[int]:
    return [*(d["compute"] for d in row["devices"]), sum(part["compute"] for part in row["host_parts"].values())]


def test_refusals_of_the_newest_build_are_the_servers_own(loaded_headers: Mapping[str, Header]) -> None:
    refused = [row for row in _rows("dry-runs-b11549.jsonl") if "refused" in row]
    assert len(refused) >= 3
    for row in refused:
        described = _dry_run(loaded_headers, {**row, "devices": [None] * int(row["flags"][0][4:])}, NEWEST)
        reasons = [f.message for f in described.findings if f.severity == "error" and f.code != DOES_NOT_FIT]
        assert any(row["refused"].endswith(reason) for reason in reasons), (row, reasons)


def test_what_would_crash_in_its_load_is_refused(loaded_headers: Mapping[str, Header]) -> None:
    (row,) = (row for row in _rows("dry-runs-b11549.jsonl") if _name(row) in NEVER_LOADS)
    with pytest.raises(UsageError, match="not found"):
        _dry_run(loaded_headers, row, NEWEST)


def test_posted_loads_of_b10644_to_the_posted_digit(models: Any) -> None:
    wrong = []
    for row in _rows("posted-loads.jsonl"):
        found = described(models, row).estimate
        said = [*(d.compute_bytes / MIB for d in found.devices), found.host.compute_bytes / MIB]
        for ours, real in zip(said, (*row["compute"], row["host"]), strict=True):
            if real is not None and abs(ours - real) > (0.5 if isinstance(real, int) else PRINTED):
                wrong.append((row["model"], " ".join(row["flags"]), said, row["compute"], row["host"]))
    assert wrong == []


def test_figures_follow_the_build(models: Any) -> None:
    row = next(r for r in _rows("posted-loads.jsonl") if len(r["devices_mib"]) > 1)
    compute = [
        sum(d.compute_bytes for d in described(models, row, build).estimate.devices) for build in (OLDEST, DEFAULT_BUILD, NEWEST)
    ]
    assert compute[0] < compute[1] == compute[2]


def test_a_family_that_a_build_was_not_measured_with_says_so(models: Any) -> None:
    row = _rows("posted-loads.jsonl")[0]

    def notes(model: str, build: Build) -> list[str]:
        value = described(models, {**row, "model": model, "flags": ["-c", "8192"]}, build)
        return [f.message for f in value.findings if f.code == "unmeasured-build"]

    assert notes(row["model"], OLDEST) == notes("llama-3.1-8b-q4_k_m", NEWEST) == []
    (note,) = notes("llama-3.1-8b-q4_k_m", OLDEST)
    assert note.startswith("b10644 was measured with other families than llama")


def test_an_architecture_of_a_newer_build_is_unknown_before(models: Any) -> None:
    row = next(r for r in _rows("cuda-loads-b11549.jsonl") if r["model"] == "k2-horizon-moe")
    messages = [f.message for f in described(models, row, DEFAULT_BUILD).findings if f.severity == "error"]
    assert messages == ["unknown model architecture: llama.cpp b11434 has no 'k2-horizon'; b11549 has it"]


def test_an_expert_cache_without_ts_says_what_shares_it_out(models: Any) -> None:
    row = next(r for r in _rows("cuda-loads-b11549.jsonl") if r["model"] == "qwen3-30b-a3b-q4_k_m")
    loose = {**row, "flags": ["-c", "8192", "-cmoe", "--moe-cache-mib", "2000"]}
    notes = [f.message for f in described(models, loose).findings if f.code == "expert-cache"]
    assert len(notes) == 1
    assert "shared out by free memory" in notes[0]
    sure = {**loose, "flags": [*loose["flags"], "-ts", "1,1"]}
    assert not [f for f in described(models, sure).findings if f.code == "expert-cache"]


@pytest.mark.parametrize(
    ("build", "argv", "says"),
    [
        (DEFAULT_BUILD, ("--moe-cache-mib", "100"), "llama-server b11434 has no such flag; b11549 has it"),
        (Build(11500), ("--moe-cache-mib", "100"), "b11549 has it"),
        (NEWEST, ("--moe-cache-mib", "-1"), "a cache is 0 MiB or more"),
        (NEWEST, ("--moe-cache-mib", "much"), "not a number"),
        (OLDEST, ("--n-cpu-ffn", "3"), "llama-server b10644 has no such flag; b11434 has it"),
        (DEFAULT_BUILD, ("--no-mmap",), "llama-server b11434 has no such flag; write -lm none"),
        (NEWEST, ("--mlock",), "llama-server b11549 has no such flag; write -lm mmap+mlock"),
        (NEWEST, ("--never-heard-of",), "llama-server has no such flag"),
    ],
)
def test_a_flag_that_a_build_lacks_is_refused_with_the_build_that_has_it(build: Build, argv: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_flags(argv, build=build)
    assert str(refused.value).endswith(says)


def test_flags_that_a_build_has_are_read() -> None:
    assert parse_flags(("--moe-cache-mib", "100"), build=NEWEST).context.expert_cache_mib == 100
    assert parse_flags(("--no-mmap",), build=OLDEST).load_mode == "none"
    assert parse_flags(("--mlock",), build=OLDEST).load_mode == "mlock"
    assert parse_flags(("--spec-draft-sampling", "greedy"), build=NEWEST).ignored == ("--spec-draft-sampling",)
