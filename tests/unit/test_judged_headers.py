"""Headers of every architecture with one change each, as llama.cpp b11434 judged them (tests/data/judged-headers.jsonl)."""

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

import pytest
from changed_headers import apply
from header_archive import DATA, HeaderArchive
from odd_headers import Gguf, parsed

from kvtui.base.findings import KvtuiError
from kvtui.flags.context import ContextParams
from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes
from kvtui.memory.refusals import refusals
from kvtui.model.load import model_from_header

ARCHIVES = ("headers.tar.xz", "headers-hybrids.tar.xz", "headers-mixtures.tar.xz", "headers-beside.tar.xz")
JUDGED = DATA / "judged-headers.jsonl"
FILE_BYTES = 2**44
LEAST_ALIKE = 0.86  # of those that llama.cpp refuses


def architecture_of(head: bytes) -> str:
    return next(value[8:].decode() for key, _, value in parsed(head).keys if key == b"general.architecture")


def taken(g: Gguf) -> bool:
    """Whether kvtui takes it."""
    try:
        model = model_from_header(read_header(HeaderBytes(g.head()[0], FILE_BYTES)), "x")
    except KvtuiError:
        return False
    return not any(f.severity == "error" for f in refusals(model, ContextParams(n_ctx=256)))


@cache
def _heads() -> Mapping[str, bytes]:
    return {name: archive.head(name) for archive in (HeaderArchive(DATA / a) for a in ARCHIVES) for name in archive}


def _lines() -> Mapping[str, list[dict[str, object]]]:
    lines = defaultdict(list)
    for text in JUDGED.read_text().splitlines():
        line = json.loads(text)
        lines[line["header"]].append(line)
    return lines


@pytest.mark.parametrize("header", sorted(_lines()))
def test_judged_alike(header: str) -> None:
    for line in _lines()[header]:
        change = line["change"]
        assert isinstance(change, list)
        if not line.get("missed"):
            assert taken(apply(parsed(_heads()[header]), change)) == line["taken"], change


def test_what_is_missed_is_little() -> None:
    lines = [line for of_one in _lines().values() for line in of_one]
    refused = [line for line in lines if not line["taken"]]
    assert len(refused) > 300
    assert len({architecture_of(_heads()[str(line["header"])]) for line in lines}) > 100
    assert sum("missed" not in line for line in refused) >= LEAST_ALIKE * len(refused)
    assert sum("missed" in line for line in lines if line["taken"]) <= (1 - LEAST_ALIKE) * len(lines) / 10
