"""The table's columns on a screen: every cell is whole, at every width."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.sizes import GIB, MIB
from kvtui.cache.divergence import Divergence
from kvtui.cache.measured_here import MeasuredHere
from kvtui.cache.quality import quality
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import PairRow, iter_rows
from kvtui.report.columns import LEAST_WIDTH, MEDIUM_WIDTH, PLAIN_WIDTH, WIDE_WIDTH
from kvtui.tui.draw.table import columns_for, row_text

NAME = "qwen3-30b-a3b-q4_k_m"
MARKS, VERDICTS = 3, {MEDIUM_WIDTH: 6, WIDE_WIDTH: 13}  # columns beside the cells
HERE = MeasuredHere("q8_0", "q8_0", Divergence(4096, 0.0005, 0.001, 99.0), (8, 8), 8, 4096, "a text", "b11434", 1.0)


@pytest.fixture(scope="module")
def rows(headers: Mapping[str, Header]) -> list[PairRow]:
    machine = Machine(parse_devices(("3090",)), parse_ram("64GiB@60GB/s"))
    model = model_from_header(headers[NAME], NAME)
    found = list(iter_rows(quick_plan(Request(model, ContextParams(n_ctx=16384), machine)), all_pairs=True, contexts=False))
    extreme = [
        replace(found[0], type_k="iq4_nl", type_v="iq4_nl", tokens_per_second=rate, max_context=tokens, cache_bytes=size)
        for rate in (0.0123, 12.34, 999.6, 4321.0)
        for tokens in (9999, 131_100, 10_500_000)
        for size in (1023 * MIB, 9 * GIB, 12 * GIB, 123 * GIB)
    ]
    measured = [replace(r, quality=quality(r.type_k, r.type_v, model, (HERE,))) for r in found]
    return [*found, *extreme, *measured]


@pytest.mark.parametrize("width", [LEAST_WIDTH, PLAIN_WIDTH, MEDIUM_WIDTH, WIDE_WIDTH])
def test_every_cell_is_whole(rows: list[PairRow], width: int) -> None:
    drawn = columns_for(width)
    room = sum(face.width for _, face in drawn)
    assert MARKS + room + VERDICTS.get(width, 0) <= width
    assert {c.key for c, _ in drawn} >= {"type_k", "type_v", "cache_bytes", "max_context", "tokens_per_second", "runs", "quality"}
    for row in rows:
        text = row_text(row, width, complete=True)
        assert len(text.rstrip()) <= room, text
        cells = [cell for column, face in drawn for cell in (face.text or column.text)(row).split()]
        assert text.split() == cells
