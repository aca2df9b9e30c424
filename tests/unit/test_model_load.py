"""From a header to a model: what is refused, what is unknown, which tensors count."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvtui.cache.layout import cache_layout
from kvtui.flags.context import ContextParams
from kvtui.header.reader import Header, HeaderError
from kvtui.model.families import FAMILIES, GLM_FULL_INDEXERS
from kvtui.model.load import model_from_header

Headers = Mapping[str, Header]


def _header(architecture: str, **keys: Any) -> Header:
    plain = {"block_count": 4, "context_length": 8192, "embedding_length": 256, "attention.head_count": 4}
    own = {f"{architecture}.{k.replace('__', '.')}": v for k, v in (plain | keys).items()}
    return Header({"general.architecture": architecture, **own}, (), 0, 0)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"block_count": 0}, "0 blocks"),
        ({"block_count": 513}, "513 blocks"),
        ({"block_count": "four"}, "no integer"),
        ({"block_count": -1}, "out of range"),
        ({"nextn_predict_layers": 5}, "5 MTP blocks of 4"),
        ({"attention__head_count_kv": (2, 2, 2)}, "3 entries for 4 blocks"),
        ({"attention__head_count_kv": (2, 2, 2, -1)}, "out of range"),
        ({"attention__key_length": 1.5}, "no integer"),
    ],
)
def test_a_header_llama_cpp_could_not_load_is_one_sentence(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(HeaderError, match=says) as error:
        model_from_header(_header("llama", **keys), "x")
    assert "\n" not in str(error.value)


def test_missing_keys_are_named() -> None:
    with pytest.raises(HeaderError, match=r"general\.architecture"):
        model_from_header(Header({}, (), 0, 0), "x")
    with pytest.raises(HeaderError, match=r"gemma4\.attention\.sliding_window_pattern"):
        model_from_header(_header("gemma4", attention__sliding_window=512), "x")


def test_an_unknown_architecture_takes_the_plain_rule() -> None:
    model = model_from_header(_header("brandnew"), "x")
    assert not model.known
    assert cache_layout(model, ContextParams(n_ctx=1024)).cache_bytes == 4 * 1024 * (256 + 256) * 2


def test_window_patterns() -> None:
    def sliding(architecture: str, **keys: Any) -> list[int]:
        header = _header(architecture, block_count=8, attention__sliding_window=512, **keys)
        return [x.index for x in model_from_header(header, "x").layers if x.is_swa]

    assert sliding("gemma3") == [0, 1, 2, 3, 4, 6, 7]  # every sixth is dense
    assert sliding("gemma3", attention__sliding_window_pattern=2) == [0, 2, 4, 6]
    assert sliding("cohere2moe") == [1, 2, 3, 5, 6, 7]  # the first of four is dense
    assert sliding("gpt-oss") == [0, 2, 4, 6]
    assert sliding("step35", attention__sliding_window_pattern=(True, False) * 4) == [0, 2, 4, 6]
    assert sliding("exaone4") == []  # only its 64-block model has a window
    assert sliding("llama") == []


def test_full_indexers_of_glm_5_2() -> None:
    assert sorted(GLM_FULL_INDEXERS)[:6] == [0, 1, 2, 6, 10, 14]
    assert len(GLM_FULL_INDEXERS) == 21


def test_a_family_has_an_indexer_where_its_memory_needs_one() -> None:
    for name, family in FAMILIES.items():
        assert (family.memory in ("dsa", "msa", "hybrid_idx", "dsv4")) == (family.indexer is not None), name
        assert (family.memory in ("recurrent", "hybrid", "hybrid_idx")) == (family.recurrent is not None), name


def test_experts_are_read_in_part_and_embeddings_by_row(headers: Headers) -> None:
    model = model_from_header(headers["qwen3-30b-a3b-q4_k_m"], "qwen3")
    shares = {t.active for t in model.tensors if t.expert}
    assert shares == {8 / 128}
    assert [t.name for t in model.tensors if t.looked_up] == ["token_embd.weight"]
    assert {t.active for t in model.tensors if not t.expert} == {1.0}


def test_tensor_classes(headers: Headers) -> None:
    kinds = {t.name: (t.kind, t.block) for t in model_from_header(headers["kimi-k2-q4_k_m"], "kimi").tensors}
    assert kinds["token_embd.weight"] == ("input", None)
    assert kinds["output_norm.weight"] == kinds["output.weight"] == ("output", None)
    assert kinds["blk.60.ffn_down_exps.weight"] == ("repeating", 60)


_VALUES = st.one_of(
    st.integers(-2, 2**33), st.booleans(), st.floats(), st.text(max_size=5), st.lists(st.integers(-3, 600), max_size=6).map(tuple)
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(FAMILIES)), data=st.data())
def test_no_metadata_breaks_it(headers: Headers, name: str, data: st.DataObject) -> None:
    known = sorted({k.partition(".")[2] for h in ("qwen4exp-moe", "deepseek4-moe") for k in headers[h].metadata})
    keys = data.draw(st.dictionaries(st.sampled_from(known), _VALUES, max_size=8))
    header = _header(name)
    header = replace(header, metadata={**header.metadata, **{f"{name}.{k}": v for k, v in keys.items()}})
    try:
        model = model_from_header(header, "x", ("draft-mtp",))
    except HeaderError:
        return
    assert cache_layout(model, ContextParams(n_ctx=512, flash_attn="off")).cache_bytes >= 0
