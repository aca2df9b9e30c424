"""The guide's pages against figures that a person can check by hand, and the guide's own."""

from collections.abc import Mapping

import pytest

from kvtui.flags.context import ContextParams
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import rows_of
from kvtui.report.guide import CHOICE_PAIRS, Guide, costs, full_window, hidden_formula, kimi_lines, tensor_split_needs, type_lines
from kvtui.report.guide_text import guide_json, guide_lines
from kvtui.tasks.demo import demo_request

Headers = Mapping[str, Header]


@pytest.fixture(scope="module")
def kimi() -> ModelSpec:
    return demo_request().model


def test_types_have_the_guides_words_beside_exact_sizes() -> None:
    by_name = {t.name: t for t in type_lines()}
    assert len(by_name) == 9
    q8 = by_name["q8_0"]
    assert (q8.label, q8.nominal_bits, q8.nominal_memory) == ("Good", 8, "1x")
    assert (q8.bits, q8.block_bytes, q8.of_f16) == (8.5, 34, 0.53125)
    assert (by_name["q5_1"].bits, by_name["q5_0"].block_bytes, by_name["f32"].of_f16) == (6.0, 22, 2.0)


def test_kimi_both_ways(kimi: ModelSpec) -> None:
    for line in kimi_lines(kimi):
        assert line.hidden_bytes / 2**30 == pytest.approx(line.guide_gb, abs=0.06)
    f16, q8, _, mixed = kimi_lines(kimi)
    assert f16.true_bytes == 61 * 132096 * 576 * 2
    assert q8.true_bytes == 61 * 132096 * 576 // 32 * 34
    assert mixed.true_bytes is None
    assert "does not support different K (q4_0) and V (q8_0)" in mixed.refused


def test_the_mix_is_there_with_what_speaks_against_it(headers: Headers) -> None:
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "llama")
    plan = quick_plan(Request(model, ContextParams(n_ctx=8192, n_parallel=1), demo_request().machine))
    found = costs(rows_of(plan, (*CHOICE_PAIRS, ("q8_0", "q4_0")), contexts=False))
    assert [c.choice.key for c in found] == ["F1", "F2", "F3", "F4"]
    assert [round(c.row.saved_fraction, 3) for c in found] == [0.0, 0.469, 0.719, 0.594]
    assert found[0].against == ()
    said = " ".join(found[3].against)
    assert "is copied to f16 at each token" in said
    assert "K should not have fewer bits than V" in said
    assert "q8_0/q4_0 has the same bytes and is expected to lose less" in said


def test_a_refused_mix_says_so(kimi: ModelSpec) -> None:
    plan = quick_plan(demo_request())
    mixed = costs(rows_of(plan, CHOICE_PAIRS, contexts=False))[3]
    assert mixed.against == ("llama-server refuses it: model does not support different K (q4_0) and V (q8_0) cache types",)


def test_what_a_split_by_tensors_needs(headers: Headers, kimi: ModelSpec) -> None:
    llama = model_from_header(headers["llama-3.1-8b-q4_k_m"], "llama")
    assert all(n.met for n in tensor_split_needs(llama, ContextParams(), 2))
    assert [n.met for n in tensor_split_needs(llama, ContextParams(flash_attn="off"), 1)] == [False, True, False, True]
    assert not tensor_split_needs(kimi, ContextParams(), 4)[1].met


def test_the_cost_of_whole_windows(headers: Headers, kimi: ModelSpec) -> None:
    gemma = model_from_header(headers["gemma-3-27b-q4_k_m"], "gemma")
    found = full_window(gemma, ContextParams(n_ctx=32768, n_parallel=1))
    assert found is not None
    slides = sum(x.is_swa for x in gemma.layers)
    # 1,024 tokens of the window and a batch of 512 are 1,536 cells
    assert found.cost_bytes == slides * (32768 - 1536) * 2 * gemma.layers[0].n_embd_k_gqa * 2
    assert full_window(kimi, ContextParams()) is None


def test_pages_without_a_model_are_left_out(kimi: ModelSpec) -> None:
    guide = Guide(type_lines(), kimi_lines(kimi))
    lines = guide_lines(guide, hidden_formula(kimi))
    assert "What -sm tensor needs" not in lines
    assert any(line.split() == ["f16/f16", "215.0", "GB", "258.5", "GB", "215.0", "GiB", "8.65", "GiB"] for line in lines)
    assert [t["name"] for t in guide_json(guide)["types"]][:2] == ["f32", "f16"]
