"""Every cache byte against what llama-server b11434 printed: no tolerance but the digits it rounds away."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from kvtui.cache.layout import CacheLayout, cache_layout, draft_layout
from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.header.reader import Header
from kvtui.model.families import FAMILIES
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%7.2f MiB"

Rows = tuple[dict[str, Any], ...]
Case = tuple[dict[str, Any], ModelSpec, ContextParams, CacheLayout]


@pytest.fixture(scope="module")
def cases(dry_runs: Rows, headers: Mapping[str, Header]) -> list[Case]:
    @cache
    def model(name: str, spec_types: tuple[str, ...]) -> ModelSpec:
        return model_from_header(headers[name], name, spec_types)

    found = []
    for row in dry_runs:
        context = parse_flags(row["flags"][1:]).context
        spec = model(row["model"], context.spec_types)
        found.append((row, spec, context, cache_layout(spec, context)))
    return found


def _name(row: dict[str, Any]) -> str:
    return f"{row['model']} {' '.join(row['flags'])}"


def test_every_architecture_of_the_rows_has_a_record(cases: list[Case]) -> None:
    assert len(cases) > 1500
    assert {row["model"] for row, model, _, _ in cases if not model.known} == set()
    assert len({model.architecture for _, model, _, _ in cases}) > 130


def test_caches_to_the_printed_digit(cases: list[Case]) -> None:
    wrong = [
        (_name(row), layout.cache_bytes / MIB, row["kv"])
        for row, _, _, layout in cases
        if abs(layout.cache_bytes / MIB - sum(kv["mib"] for kv in row["kv"])) > PRINTED * max(len(row["kv"]), 1)
    ]
    assert wrong == []


def test_recurrent_state_to_the_printed_digit(cases: list[Case]) -> None:
    wrong = [
        (_name(row), layout.state_bytes / MIB, row["rs"])
        for row, model, _, layout in cases
        if model.family.memory != "dsv4"  # its compressor states are in no such line, only in the devices' sums
        and abs(layout.state_bytes / MIB - sum(row["rs"])) > PRINTED * max(len(row["rs"]), 1)
    ]
    assert wrong == []


def test_context_of_each_device_in_whole_mib(cases: list[Case]) -> None:
    wrong = []
    for row, _, context, layout in cases:
        held: Counter[str] = Counter()
        for home, layer in zip(row["layer_devices"], layout.layers, strict=False):
            held[home if context.offload_kqv else "CPU"] += layer.cache_bytes + layer.state_bytes
        got = {d["name"]: held[d["name"]] // MIB for d in row["devices"]} | {"CPU": held["CPU"] // MIB}
        want = {d["name"]: d["context"] for d in row["devices"]}
        want["CPU"] = sum(part["context"] for part in row["host_parts"].values())
        if got != want:
            wrong.append((_name(row), got, want))
    assert wrong == []


def test_how_many_blocks_have_a_cache_of_how_many_cells(cases: list[Case]) -> None:
    wrong = []
    for row, model, _, layout in cases:
        if model.family.indexer:
            continue  # an indexer's cache is a line of its own there, a part of its block here
        got = Counter(layer.cells for layer in layout.layers if layer.cells)
        want: Counter[int] = Counter()
        for kv in row["kv"]:
            want[kv["cells"] * kv["streams"]] += kv["layers"]
        if got != +want:
            wrong.append((_name(row), got, want))
    assert wrong == []


def test_which_blocks_slide(cases: list[Case]) -> None:
    wrong = [
        (_name(row), row["swa_layers"])
        for row, model, _, _ in cases
        if [x.index for x in model.layers if x.is_swa] != row["swa_layers"]
    ]
    assert wrong == []


def test_one_block_a_layer_and_one_for_the_output(cases: list[Case]) -> None:
    assert [_name(row) for row, model, _, _ in cases if model.n_layer_all + 1 != len(row["layer_devices"])] == []


def test_the_mtp_context(cases: list[Case]) -> None:
    asked = [case for case in cases if "draft_kv" in case[0]]
    wrong = [
        (_name(row), draft_layout(model, context).cache_bytes / MIB, row["draft_kv"])
        for row, model, context, _ in asked
        if abs(draft_layout(model, context).cache_bytes / MIB - sum(kv["mib"] for kv in row["draft_kv"]))
        > PRINTED * len(row["draft_kv"])
    ]
    assert len(asked) > 20
    assert wrong == []


def test_mtp_blocks_are_loaded_only_for_drafting(headers: Mapping[str, Header]) -> None:
    for name in headers:
        if not name.startswith("mtp-"):
            continue
        without, drafting = (model_from_header(headers[name], name, types) for types in ((), ("draft-mtp",)))
        extra = [t.name for t, u in zip(without.tensors, drafting.tensors, strict=True) if u.loaded and not t.loaded]
        assert bool(extra) == FAMILIES[without.architecture].mtp, name
        assert all(t.startswith(f"blk.{without.n_layer}.") for t in extra), name
        assert [x.index for x in drafting.layers if x.drafts] == ([without.n_layer] if extra else []), name
