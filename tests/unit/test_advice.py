"""Rows of the K/V table as one value: speed follows how a pair runs, and what is recommended is beaten by nothing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.findings import KvtuiError, UsageError
from kvtui.cache.labels import RANKS
from kvtui.cache.layout import cache_layout
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.advice import GOALS, advice, advised, dominates, recommended
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import PairRow, pair_rows
from kvtui.report.columns import column, filtered, sorted_by
from kvtui.report.table_text import matrix_lines

Headers = Mapping[str, Header]
ADA = "CUDA0=22.8GiB/24GiB@1000GB/s"
RAM = 50e9


def planned(
    headers: Headers, name: str, *devices: str, n_ctx: int = 32768, ram: str = "700GiB@50GB/s", **context: object
) -> Plan:
    found = tuple(replace(d, compute_capability=89) for d in parse_devices(devices))
    asked = replace(ContextParams(n_ctx=n_ctx, n_parallel=1), **context)  # type: ignore[arg-type]
    return quick_plan(Request(model_from_header(headers[name], name), asked, Machine(found, parse_ram(ram))))


@pytest.fixture(scope="module")
def plan(headers: Headers) -> Plan:
    return planned(headers, "llama-3.1-8b-q4_k_m", ADA)


@pytest.fixture(scope="module")
def rows(plan: Plan) -> dict[tuple[str, str], PairRow]:
    return {r.pair: r for r in advised(pair_rows(plan, all_pairs=True, contexts=False))}


def test_speed_is_the_yardsticks_for_each_way_to_run(plan: Plan, rows: dict[tuple[str, str], PairRow]) -> None:
    model, f16 = plan.request.model, 32 * 32768 * 1024 * 2 * 2  # blocks x cells x values x K and V x bytes
    weights = sum(t.n_bytes * t.active for t in model.tensors if t.kind != "input")
    expected = {
        ("f16", "f16"): (weights + f16) / 1000e9,
        ("q8_0", "q8_0"): (weights + f16 * 34 / 64) / 1000e9,
        ("q5_0", "q5_0"): (weights + f16 * (22 / 64 + 2)) / 1000e9,
        ("iq4_nl", "iq4_nl"): weights / 1000e9 + f16 * 18 / 64 / RAM,
    }
    assert {p: rows[p].runs for p in expected} == dict(zip(expected, ("fast", "fast", "converted", "cpu"), strict=True))
    for pair, seconds in expected.items():
        assert rows[pair].seconds_per_token == pytest.approx(seconds), pair


def test_by_eye_on_ada_a_converted_pair_is_not_the_faster_one(rows: dict[tuple[str, str], PairRow]) -> None:
    q5, q8 = rows["q5_0", "q5_0"], rows["q8_0", "q8_0"]
    assert q5.tokens_per_second is not None
    assert q8.tokens_per_second is not None
    assert q5.tokens_per_second < q8.tokens_per_second * 0.6
    assert q5.seconds_per_token > q8.seconds_per_token * 2
    assert sorted_by(list(rows.values()), column("tok/s"))[0].runs == "fast"


def test_a_binary_with_all_kernels_reads_every_pair_in_place(plan: Plan) -> None:
    request = replace(plan.request, fa_quants=("all",))
    q5 = next(r for r in pair_rows(quick_plan(request), contexts=False) if r.pair == ("q5_0", "q5_0"))
    q8 = next(r for r in pair_rows(quick_plan(request), contexts=False) if r.pair == ("q8_0", "q8_0"))
    assert q5.runs == "fast"
    assert q5.seconds_per_token < q8.seconds_per_token


def test_k_v_in_ram_are_read_there(headers: Headers) -> None:
    here = planned(headers, "llama-3.1-8b-q4_k_m", ADA, offload_kqv=False)
    f16 = next(r for r in pair_rows(here, contexts=False) if r.pair == ("f16", "f16"))
    assert f16.seconds_per_token == pytest.approx(here.found.best.score.seconds)


def test_who_beats_whom(rows: dict[tuple[str, str], PairRow]) -> None:
    for row in rows.values():
        others = [x for x in rows.values() if dominates(x, row)]
        assert (row.dominated_by is None) == (not others)
        if row.dominated_by is not None:
            assert rows[row.dominated_by].dominated_by is None
    assert rows["f32", "f32"].dominated_by is not None
    assert rows["q8_0", "q8_0"].dominated_by is None


MACHINES = ((ADA,), (ADA, "CUDA1=11GiB/12GiB@360GB/s"), ("Vulkan0=15GiB/16GiB@600GB/s",), ("MTL0=30GiB@400GB/s,shared",), ())
NAMES = ("llama-3.1-8b-q4_k_m", "kimi-k2-q4_k_m", "qwen2vl-dense", "qwen2moe-moe", "gpt-oss-120b-mxfp4", "gemma3-dense",
         "qwen3next-moe", "mamba2-dense", "phi3-dense", "glm4moe-moe")  # fmt: skip


def slower_and_worse(found: list[PairRow]) -> list[tuple[str, PairRow, PairRow]]:
    """Recommendations that another pair which fits beats in speed and in quality: (goal, recommended, the other)."""
    bad = []
    for goal in GOALS:
        best = recommended(found, goal)
        if best is None:
            assert not any(r.fits for r in found)
            continue
        assert best.fits
        assert best.dominated_by is None or not next(r for r in found if r.pair == best.dominated_by).fits
        for other in found:
            if other.fits and (other.runs != "unknown" or best.runs == "unknown"):
                worse = RANKS[other.quality.label] < RANKS[best.quality.label]
                if worse and other.seconds_per_token < best.seconds_per_token:
                    bad.append((goal, best, other))
    return bad


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("devices", MACHINES)
def test_nothing_recommended_is_slower_and_worse_than_another(headers: Headers, name: str, devices: tuple[str, ...]) -> None:
    for n_ctx in (4096, 65536):
        shown = planned(headers, name, *devices, n_ctx=n_ctx)
        found = advised(pair_rows(shown, all_pairs=True, contexts=False))
        assert advice(shown, found).endswith(".")
        assert slower_and_worse(found) == []


def test_nor_for_any_model_there_is_a_header_of(headers: Headers) -> None:
    seen = 0
    for name in headers:
        try:
            shown = planned(headers, name, ADA, "CUDA1=11GiB/12GiB@360GB/s", n_ctx=8192)
        except KvtuiError:
            continue  # no text model, or one that nothing is planned for
        found = advised(pair_rows(shown, contexts=False))
        assert slower_and_worse(found) == [], name
        assert all(sum(goal in r.recommended_for for r in found) <= 1 for goal in GOALS), name
        seen += 1
    assert seen > len(headers) * 0.8


def test_advice_says_what_is_saved_lost_and_run(headers: Headers) -> None:
    here = planned(headers, "llama-3.1-8b-q4_k_m", ADA, "CUDA1=22.8GiB@1000GB/s", n_ctx=131072)
    found = advised(pair_rows(here, contexts=False))
    assert advice(here, found).startswith(
        "q8_0/q8_0: half the cache, no measured loss on relatives of this model, runs with its own kernel on "
    )
    assert advice(here, found).endswith("fits 131,072.")
    assert [r.pair for r in found if "decode" in r.recommended_for] == [("q8_0", "q8_0")]


def test_where_f16_fits_and_is_as_fast_nothing_is_quantised(headers: Headers) -> None:
    here = planned(headers, "llama-3.1-8b-q4_k_m", ADA, n_ctx=2048)
    found = advised(pair_rows(here, contexts=False))
    assert advice(here, found) == (
        "f16/f16: nothing needs to be quantised: 2,048 fit, and no pair without measured loss is more than 5 % faster."
    )
    assert [r.pair for r in found if "decode" in r.recommended_for] == [("f16", "f16")]


def test_where_nothing_fits_the_pair_that_takes_least_is_named(headers: Headers) -> None:
    here = planned(headers, "llama-3.1-8b-q4_k_m", "CUDA0=1GiB@900GB/s", ram="1GiB")
    found = advised(pair_rows(here, contexts=False))
    assert not any(r.recommended_for for r in found)
    assert "No pair fits 32,768" in advice(here, found)


def test_models_without_a_cache_have_nothing_to_choose(headers: Headers) -> None:
    here = planned(headers, "mamba2-dense", ADA, n_ctx=4096)
    assert cache_layout(here.request.model, here.request.context).cache_bytes == 0
    assert advice(here, pair_rows(here, contexts=False)) == "This model keeps no K/V: its types change nothing."


def test_filters(rows: dict[tuple[str, str], PairRow]) -> None:
    every = list(rows.values())
    fast = filtered(every, ("fast", "fits"), "as f16")
    assert {r.pair for r in fast} == {("f16", "f16"), ("bf16", "bf16"), ("q8_0", "q8_0")}
    assert filtered(every) == every
    sizes = [r.cache_bytes for r in sorted_by(every, column("cache"))]
    assert sizes == sorted(sizes)


def test_a_column_that_is_none_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean quality"):
        column("qualty")
    with pytest.raises(UsageError, match="no such column"):
        column("findings")


def test_the_matrix_has_nine_by_nine(rows: dict[tuple[str, str], PairRow]) -> None:
    lines = matrix_lines(list(rows.values()), column("cache_bytes"), markdown=True)
    assert lines[0] == "cache GiB, K down and V across"
    assert len(lines) == 2 + 2 + 9
    assert lines[4].split("|")[1:5] == [" f32 ", " 8.00 ", " 6.00 ", " 6.00 "]
    few = matrix_lines([rows["f16", "f16"]], column("runs"), markdown=False)
    assert few[4].split() == ["f16", "-", "fast", *["-"] * 7]


def test_what_is_advised_because_f16_has_no_room_says_so(headers: Headers) -> None:
    card = "CUDA0=20GiB/24GiB@1000GB/s"  # 4.6 GiB of weights and 16 of f16 K/V leave no margin
    here = planned(headers, "llama-3.1-8b-q4_k_m", card, ram="1GiB@50GB/s", n_ctx=131072, type_k="q8_0", type_v="q8_0")
    found = advised(pair_rows(here, contexts=False))
    assert not next(r for r in found if r.pair == ("f16", "f16")).fits
    assert advice(here, found).endswith("f16/f16 has no room in this placement; fits 131,072.")
