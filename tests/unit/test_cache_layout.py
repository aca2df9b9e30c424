"""Cache sizes that can be worked out by hand, and how they follow the flags."""

from collections.abc import Mapping

import pytest

from kvtui.cache.layout import cache_layout, draft_layout, physical_batch, rollback_rows
from kvtui.flags.context import ContextParams
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec
from kvtui.report.formulas import explain_lines

MIB = 2**20
Headers = Mapping[str, Header]


@pytest.fixture
def kimi(headers: Headers) -> ModelSpec:
    return model_from_header(headers["kimi-k2-q4_k_m"], "kimi")


@pytest.fixture
def gemma(headers: Headers) -> ModelSpec:
    return model_from_header(headers["gemma-3-27b-q4_k_m"], "gemma")


def test_mla_caches_576_values_and_no_v(kimi: ModelSpec) -> None:
    layout = cache_layout(kimi, ContextParams(n_ctx=132000, n_parallel=1))
    assert layout.cells == 132096  # 516 x 256
    assert layout.cache_bytes == 61 * 132096 * 576 * 2
    quantized = cache_layout(kimi, ContextParams(n_ctx=132000, n_parallel=1, type_k="q8_0", type_v="q8_0"))
    assert quantized.cache_bytes == 61 * 132096 * 576 // 32 * 34


@pytest.mark.parametrize(
    ("name", "mib"),
    [("llama-3.1-8b-q4_k_m", 4096), ("gemma-3-27b-q4_k_m", 3184)],  # llama.cpp's own figures at 32,768 tokens, one slot
)
def test_figures_of_llama_cpp(headers: Headers, name: str, mib: int) -> None:
    layout = cache_layout(model_from_header(headers[name], name), ContextParams(n_ctx=32768, n_parallel=1))
    assert layout.cache_bytes == mib * MIB


def test_unset_slots_share_one_cache_and_widen_the_window(gemma: ModelSpec) -> None:
    one = cache_layout(gemma, ContextParams(n_ctx=32768, n_parallel=1))
    unset = cache_layout(gemma, ContextParams(n_ctx=32768))
    apart = cache_layout(gemma, ContextParams(n_ctx=32768, n_parallel=4))
    assert one.swa_cells == 1024 + 512
    assert unset.swa_cells == 4 * 1024 + 512
    assert (apart.streams, apart.swa_cells, apart.cells) == (4, 4 * (1024 + 512), 32768)
    assert max(x.cells for x in unset.layers) == 32768
    full = cache_layout(gemma, ContextParams(n_ctx=32768, swa_full=True))
    assert {x.cells for x in full.layers} == {32768}


def test_a_slot_is_padded_to_256_cells(kimi: ModelSpec) -> None:
    layout = cache_layout(kimi, ContextParams(n_ctx=1000, n_parallel=3))
    assert layout.cells == 3 * 512  # 1000 -> 1024, a third of it is 341


def test_the_physical_batch_is_at_most_the_context_asked_for(gemma: ModelSpec) -> None:
    assert physical_batch(gemma, ContextParams(n_ctx=300)) == 300
    assert physical_batch(gemma, ContextParams(n_ctx=4096, n_batch=100)) == 100
    assert physical_batch(gemma, ContextParams(n_ctx=4096, n_batch=700, n_ubatch=0)) == 700


def test_without_flash_attention_v_is_as_wide_as_the_widest(headers: Headers) -> None:
    model = model_from_header(headers["more-gemma4"], "gemma4")
    widths = {x.n_embd_v_gqa for x in model.layers}
    assert len(widths) > 1
    on = cache_layout(model, ContextParams(n_ctx=4096))
    off = cache_layout(model, ContextParams(n_ctx=4096, flash_attn="off"))
    assert {x.v_values for x in on.layers if x.cells} == widths
    assert {x.v_values for x in off.layers if x.cells} == {max(widths)}


def test_blocks_that_share_an_earlier_cache_have_none(headers: Headers) -> None:
    layout = cache_layout(model_from_header(headers["more-gemma3n"], "gemma3n"), ContextParams(n_ctx=4096))
    assert [bool(x.cells) for x in layout.layers] == [True] * 20 + [False] * 10


def test_a_sparse_block_reads_its_indexer_and_the_picked_cells(headers: Headers) -> None:
    model = model_from_header(headers["deepseek32-moe"], "deepseek32")
    assert model.top_k == 131072
    context = ContextParams(n_ctx=524288, n_parallel=1)
    block = cache_layout(model, context).layers[1]
    assert block.index_bytes == 524288 * 128 * 2
    assert block.read_bytes == 524288 * 128 * 2 + 131072 * 576 * 2
    short = cache_layout(model, ContextParams(n_ctx=4096, n_parallel=1)).layers[1]
    assert short.read_bytes == short.cache_bytes


def test_drafting_keeps_further_states_only_where_the_architecture_can_go_back(headers: Headers) -> None:
    drafts = ContextParams(n_ctx=4096, spec_types=("draft-mtp",))
    qwen = model_from_header(headers["qwen35-dense"], "qwen35")
    jamba = model_from_header(headers["jamba-dense"], "jamba")
    assert rollback_rows(qwen, ContextParams(n_ctx=4096)) == 0
    assert rollback_rows(qwen, drafts) == 3
    assert rollback_rows(qwen, ContextParams(n_ctx=4096, spec_types=("draft-eagle3",), n_draft=7)) == 7
    assert rollback_rows(jamba, drafts) == 0
    assert cache_layout(qwen, drafts).state_bytes == 4 * cache_layout(qwen, ContextParams(n_ctx=4096)).state_bytes


def test_mtp_blocks_are_cached_in_a_context_of_their_own(headers: Headers) -> None:
    model = model_from_header(headers["mtp-glm4moe-moe"], "glm", ("draft-mtp",))
    context = ContextParams(n_ctx=4096, spec_types=("draft-mtp",))
    assert [bool(x) for x in cache_layout(model, context).layer_bytes] == [True, True, False]
    assert [bool(x) for x in draft_layout(model, context).layer_bytes] == [False, False, True]
    without = model_from_header(headers["mtp-glm4moe-moe"], "glm")
    assert draft_layout(without, context).cache_bytes == 0


def test_formulas_carry_their_numbers(kimi: ModelSpec, gemma: ModelSpec) -> None:
    lines = explain_lines(kimi, ContextParams(n_ctx=132000, type_k="q8_0", type_v="q8_0"))
    assert "K: 61 blocks x 132,096 cells x 576 values x 34/32 B = 4,703.0 MiB" in lines
    assert lines[-1].endswith("2 x 61 blocks x 7,168 values x 132,000 tokens x 2 B = 215.0 GiB at f16")
    assert sum("window of 1,024 tokens" in line for line in explain_lines(gemma, ContextParams(n_ctx=8192))) == 2
