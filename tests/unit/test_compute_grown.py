"""Graphs grown from a few turns of a pattern against the same graphs built block by block, table by table."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from kvtui.cache.layout import flash_attention
from kvtui.flags.read import parse_flags
from kvtui.header.reader import Header
from kvtui.memory.compute.collapse import Run
from kvtui.memory.compute.graph import Graph, freeze
from kvtui.memory.compute.graphs import build_graph, covered, families, graph_of
from kvtui.memory.compute.grow import TURNS, Seed, grow
from kvtui.memory.compute.shapes import shapes
from kvtui.memory.compute.tape import F32, Node, Tape
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

DATA = Path(__file__).parents[1] / "data"
FLAGS = (("-c", "8192"), ("-c", "32768", "-np", "2", "-ctk", "q8_0", "-ctv", "q8_0"), ("-fa", "off", "-c", "4096"))
_BY_ID = ("homes", "pinned")  # in any order
_LIKE = "nodes"  # of a repeated block: those of the block it repeats


@pytest.fixture(scope="module")
def models(loaded_headers: Mapping[str, Header]) -> list[ModelSpec]:
    rows = (json.loads(line) for file in DATA.glob("cuda-loads*.jsonl") for line in file.read_text().splitlines())
    specs = [model_from_header(loaded_headers[name], name) for name in sorted({row["model"] for row in rows})]
    return [spec for spec in specs if covered(spec) and families()[spec.architecture].repeats(spec)]


def _differ(a: Graph, b: Graph) -> list[str]:
    """Names of tables that are not equal."""
    whole = [f.name for f in fields(Graph) if f.name not in (*_BY_ID, _LIKE)]
    found = [name for name in whole if getattr(a, name) != getattr(b, name) and name != "padding"]
    found += [name for name in _BY_ID if sorted(getattr(a, name)) != sorted(getattr(b, name))]
    pads = [{i: n for i, n in g.padding.items() if n} for g in (a, b)]
    found += ["padding"] if pads[0] != pads[1] else []
    looks = [[(n.op, n.ne, n.dtype, n.input, n.unary) for n in g.nodes] for g in (a, b)]
    return [*found, _LIKE] if looks[0] != looks[1] else found


def test_a_grown_graph_is_the_one_that_is_built(models: list[ModelSpec]) -> None:
    assert len({spec.architecture for spec in models}) >= 50
    wrong, shared = [], 0
    for spec in models:
        for flags in FLAGS:
            ctx = parse_flags(flags).context
            sizes = shapes(spec, ctx, flash_attention(spec, ctx), prompt=True)
            every = tuple(range(spec.n_layer))
            for blocks in (every, every[: spec.n_layer // 2] + every[spec.n_layer // 2 + 1 :]):
                found, whole = graph_of(spec, sizes, blocks), build_graph(spec, sizes, blocks)
                shared += len({id(n) for n in found.nodes}) < len(whole.nodes)
                if differ := _differ(found, whole):
                    wrong.append((spec.name, flags, len(blocks), differ))
    assert wrong == []
    assert shared >= 120  # the rest has too few blocks


def _seed(blocks: int, reads: int) -> Seed:
    """Blocks that add what the block `reads` before them gave."""
    tape, marks = Tape(), []
    outs: list[Node] = [tape.input(F32, 8, name="rows")]
    for i in range(blocks):
        marks.append(tape.count)
        outs.append(tape.add(tape.sqr(outs[-1]), outs[max(len(outs) - reads, 0)]))
        tape.expand(outs[-1])
        outs[-1].name = f"out-{i}"
    return Seed(freeze(tape), tuple(marks), {}, {})


def test_what_reads_further_back_than_one_block_is_not_grown() -> None:
    runs = (Run(0, 1, 1), Run(1, 1, 6), Run(7, 1, 1))
    tables = grow(_seed(TURNS + 2, reads=1), runs)
    assert tables is not None
    assert tables.sources == list(_seed(8, reads=1).graph.sources)
    assert grow(_seed(TURNS + 2, reads=3), runs) is None
