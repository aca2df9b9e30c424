"""Labels of K/V pairs against the figures they rest on."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pytest

from kvtui.cache.labels import LABELS
from kvtui.cache.quality import Figure, all_figures, quality, rotated
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec

Headers = Mapping[str, Header]
ORDER = [name for _, name in LABELS] + ["risky"]
HIGHER_IS_BETTER = ("AIME25, %", "MMLU, %", "top-1 agreement, %", "exp(-KLD) at the 99.9 % tail, of 100")


def _model(headers: Headers, name: str) -> ModelSpec:
    return model_from_header(headers[name], name)


@pytest.fixture
def llama(headers: Headers) -> ModelSpec:
    return _model(headers, "llama-3.1-8b-q4_k_m")


@pytest.fixture
def kimi(headers: Headers) -> ModelSpec:
    return _model(headers, "kimi-k2-q4_k_m")


def test_heads_of_64_are_rotated_and_mla_is_not(llama: ModelSpec, kimi: ModelSpec) -> None:
    assert rotated(llama) == (True, True)
    assert rotated(kimi) == (False, False)


def test_no_label_contradicts_a_series_of_figures(llama: ModelSpec, kimi: ModelSpec) -> None:
    series: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
    for figure in all_figures():
        series[figure.model, figure.metric, figure.source.partition(",")[0]].append(figure)
    compared = 0
    for (_, metric, _), figures in series.items():
        for better, worse in permutations(figures, 2):
            model = llama if better.rotated else kimi
            labels = [ORDER.index(quality(f.type_k, f.type_v, model).label) for f in (better, worse)]
            if max(labels) <= 1 or labels[0] >= labels[1]:
                continue  # f16 itself and what is as good as f16 rank alike
            sign = -1 if metric in HIGHER_IS_BETTER else 1
            assert sign * better.value <= sign * worse.value, (metric, better, worse)
            compared += 1
    assert compared > 40


@pytest.mark.parametrize("kind", ["rotated", "plain"])
def test_costs_are_the_least_squares_of_their_series(kind: str, llama: ModelSpec, kimi: ModelSpec) -> None:
    model, name = (llama, "Qwen3.5-9B") if kind == "rotated" else (kimi, "LLaMA-3 8B")
    rows = {(f.type_k, f.type_v): f.value for f in all_figures() if f.model == name}
    base = rows.pop(("f16", "f16"))
    sides = sorted({("k", k) for k, _ in rows if k != "f16"} | {("v", v) for _, v in rows if v != "f16"})
    matrix = np.array([[float(s in (("k", k), ("v", v))) for s in sides] for k, v in rows])
    costs = dict(zip(sides, np.linalg.lstsq(matrix, np.array(list(rows.values())) - base, rcond=None)[0], strict=True))
    for (side, cache_type), cost in costs.items():
        if cache_type == "q5_0":
            continue  # held to be no better than q5_1
        pair = (cache_type, "f16") if side == "k" else ("f16", cache_type)
        assert quality(*pair, model).expected == pytest.approx(cost, abs=1.1e-6), (side, cache_type)


def test_fewer_bits_on_either_side_never_cost_less(llama: ModelSpec, kimi: ModelSpec) -> None:
    for model in (llama, kimi):
        cost = {(k, v): quality(k, v, model).expected for k in CACHE_TYPES for v in CACHE_TYPES}
        for (k, v), (k2, v2) in permutations(cost, 2):
            if CACHE_TYPES[k].bits >= CACHE_TYPES[k2].bits and CACHE_TYPES[v].bits >= CACHE_TYPES[v2].bits:
                assert cost[k, v] <= cost[k2, v2], (k, v, k2, v2)


def test_the_guides_mix_is_not_above_what_has_the_same_types_the_other_way(llama: ModelSpec) -> None:
    mix, other = quality("q4_0", "q8_0", llama), quality("q8_0", "q4_0", llama)
    assert (mix.label, other.label, quality("q4_0", "q4_0", llama).label) == ("fair", "good", "fair")
    assert "K should not have fewer bits" in mix.why


@pytest.mark.parametrize(
    ("header", "pair", "label"),
    [
        ("qwen2vl-dense", ("q8_0", "q8_0"), "risky"),
        ("qwen2moe-moe", ("q8_0", "f16"), "risky"),
        ("qwen2moe-moe", ("f16", "q8_0"), "as f16"),
        ("gpt-oss-120b-mxfp4", ("q8_0", "q8_0"), "as f16"),
        ("gpt-oss-120b-mxfp4", ("q5_1", "q5_1"), "risky"),
        ("kimi-k2-q4_k_m", ("q8_0", "q8_0"), "as f16"),
        ("kimi-k2-q4_k_m", ("q4_0", "q4_0"), "risky"),
    ],
)
def test_families_that_bear_less_are_known_by_family(headers: Headers, header: str, pair: tuple[str, str], label: str) -> None:
    assert quality(*pair, _model(headers, header)).label == label


def test_the_nearest_figures_come_first(headers: Headers) -> None:
    figures = quality("q4_0", "q4_0", _model(headers, "gpt-oss-120b-mxfp4")).figures
    first, kin = figures[0]
    assert (first.model, first.value, kin) == ("gpt-oss-20b", 21.7, "a relative of this model")
    assert {k for _, k in figures[1:]} == {"another family"}


def test_every_figure_names_its_source_and_a_known_pair() -> None:
    figures = all_figures()
    assert len(figures) == 53
    for f in figures:
        assert f.source
        assert {f.type_k, f.type_v} <= set(CACHE_TYPES)
