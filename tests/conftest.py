"""What a real llama-server answered for real headers (tests/data/README.md): read once, shared by all tests."""

import json
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import pytest
from header_archive import DATA, HeaderArchive

from kvtui.header.reader import Header


@pytest.fixture(scope="session")
def headers() -> HeaderArchive:
    return HeaderArchive(DATA / "headers.tar.xz")


@pytest.fixture(scope="session")
def loaded_headers(headers: HeaderArchive) -> Mapping[str, Header]:
    """The same and those of models as large as they are."""
    large = sorted(DATA.glob("headers-*.tar.xz"))
    return ChainMap(headers, *map(HeaderArchive, large))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def beside_headers() -> HeaderArchive:
    """Models with MTP blocks, a draft, a projector."""
    return HeaderArchive(DATA / "headers-beside.tar.xz")


@pytest.fixture(scope="session")
def dry_runs() -> tuple[dict[str, Any], ...]:
    """Rows the server accepted."""
    return tuple(row for row in _rows() if "refused" not in row)


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "dry-runs.jsonl").read_text().splitlines()]
