"""Kernels against what llama.cpp b11434's own selection answered, and what follows from them by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvtui.cache.kernels import (
    Attention,
    Batch,
    Card,
    choose,
    f16_copy_bytes,
    f32_cast_bytes,
    running,
    worst,
)

TABLE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "kernels-cuda.json").read_text())
TYPES: list[str] = TABLE["types"]
NAMES = {"v": "vec", "m": "mma", "t": "tile", "n": "none"}
MLA_HEAD = 576
MIB = 2**20
Q8 = {"type_k": "q8_0", "type_v": "q8_0"}


def card(backend: str, number: int, variant: str) -> Card:
    return Card(backend, number, ("all",) if variant == "all" else None)


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda r: f"{r[0]}{r[1]}-{r[2]}-{r[3]}-gqa{r[4]}")
def test_every_pair_gets_the_kernel_and_the_copies_of_the_real_selection(row: list[Any]) -> None:
    backend, number, head_k, head_v, gqa, found = row
    mla = head_k == MLA_HEAD
    heads = 1 if mla else 8
    patterns = iter(found)
    for variant in ("default", "all"):
        for n_tokens, n_cells in TABLE["batches"]:
            cells = TABLE["patterns"][next(patterns)].split()
            pairs = [(k, v) for k in TYPES for v in TYPES]
            for (type_k, type_v), cell in zip(pairs, cells, strict=True):
                if cell == "-":  # the server refuses it: a block of 32 values does not divide the head
                    continue
                attention = Attention(head_k, head_v, gqa * heads, heads, type_k, type_v, v_in_k=mla)
                asked = (card(backend, number, variant), attention, Batch(n_tokens, n_cells))
                choice = choose(*asked)
                values = head_k * choice.copies_k + head_v * (choice.copies_v and not mla)
                assert (choice.kernel, values) == (NAMES[cell[0]], int(cell[1:] or 0)), (
                    variant,
                    n_tokens,
                    n_cells,
                    type_k,
                    type_v,
                )
                assert f16_copy_bytes(*asked) == values * heads * n_cells * 2


@pytest.mark.parametrize("row", TABLE["bytes"], ids=lambda r: "-".join(map(str, r[:11])))
def test_the_bytes_beside_the_output_are_those_of_the_real_operation(row: list[Any]) -> None:
    backend, number, head_k, head_v, n_head, n_head_kv, n_tokens, n_cells, n_streams, type_k, type_v, mla, mask, alibi, *said = (
        row
    )
    attention = Attention(head_k, head_v, n_head, n_head_kv, type_k, type_v, v_in_k=bool(mla), mask=bool(mask), alibi=bool(alibi))
    batch = Batch(n_tokens, n_cells, n_streams)
    for variant, kernel, size in (("default", *said[:2]), ("all", *said[2:])):
        assert choose(card(backend, number, variant), attention, batch).kernel == kernel
        assert f16_copy_bytes(card(backend, number, variant), attention, batch) == size


@pytest.mark.parametrize(
    ("number", "variant", "attention", "batch", "mib"),
    [  # what the attention took beside its output in loads of llama-server b11434 on CUDA, by its allocator
        (86, "default", Attention(128, 128, 32, 8, "q8_0", "q8_0"), Batch(512, 32768), 128),  # Llama 3.1 8B
        (86, "default", Attention(128, 128, 32, 8, "bf16", "bf16"), Batch(512, 32768), 128),
        (86, "default", Attention(128, 128, 32, 8, "f32", "f32"), Batch(512, 32768), 0),  # cast: 64 and 64 by themselves
        (90, "all", Attention(128, 128, 32, 8, "q5_1", "f16"), Batch(128, 16384, 4), 128),
        (60, "default", Attention(64, 64, 64, 8, "q4_0", "q8_0"), Batch(256, 32768, 2), 128),  # gpt-oss 20B, its full blocks
        (89, "all", Attention(128, 128, 32, 16, "q8_0", "q8_0"), Batch(512, 65536), 512),  # Gemma 3 27B
        (70, "all", Attention(128, 128, 32, 4, "f16", "q8_0"), Batch(512, 65536), 64),  # Qwen3 30B
        (120, "all", Attention(128, 128, 20, 20, "q8_0", "q8_0"), Batch(512, 65536), 640),  # Qwen1.5 4B
        (86, "default", Attention(512, 512, 16, 1, "q8_0", "q8_0"), Batch(512, 65536), 128),  # Gemma 4 12B
        (60, "default", Attention(128, 128, 32, 8, "q8_0", "q8_0"), Batch(2, 65536), 0),  # -ub 2
        (89, "default", Attention(128, 128, 32, 8, "q8_0", "q8_0"), Batch(2, 65536), 0),
    ],
)
def test_the_reservation_takes_what_loads_took(number: int, variant: str, attention: Attention, batch: Batch, mib: int) -> None:
    assert f16_copy_bytes(card("CUDA", number, variant), attention, batch) == mib * MIB


def llama_8b(**types: str) -> Attention:
    return Attention(128, 128, 32, 8, **types)


def test_the_reservation_of_llama_8b_at_131072_copies_512_mib_for_any_quantised_pair() -> None:
    for build in (10644, 11434):
        for type_k in ("q8_0", "q4_0"):
            ask = Card("CUDA", 86, build=build), llama_8b(type_k=type_k, type_v=type_k), Batch(512, 131072)
            assert f16_copy_bytes(*ask) == 512 * MIB


@pytest.mark.parametrize(
    ("number", "attention", "n_cells", "expected"),
    [
        (86, llama_8b(type_k="bf16", type_v="bf16"), 4096, "converted"),  # GQA on Ampere: tensor cores, which read f16
        (89, llama_8b(type_k="bf16", type_v="bf16"), 4096, "fast"),
        (89, Attention(128, 128, 64, 8, "bf16", "bf16"), 4096, "fast"),
        (89, Attention(128, 128, 64, 8, "bf16", "bf16"), 8192, "converted"),  # GQA above 4 and a long cache
        (70, llama_8b(**Q8), 4096, "converted"),  # V100
        (70, llama_8b(type_k="q4_0", type_v="q4_0"), 4096, "converted"),
        (70, Attention(128, 128, 8, 8, **Q8), 4096, "fast"),
        (60, llama_8b(**Q8), 4096, "fast"),
        (86, llama_8b(), 4096, "fast"),
        (86, llama_8b(type_k="f32", type_v="f32"), 4096, "converted"),  # cast by the graph
        (86, llama_8b(type_k="q8_0", type_v="q4_0"), 4096, "converted"),
        (86, llama_8b(type_k="iq4_nl", type_v="iq4_nl"), 4096, "cpu"),
        (86, Attention(160, 160, 32, 8, **Q8), 4096, "cpu"),
        (86, Attention(576, 512, 64, 1, "q8_0", "q8_0", v_in_k=True), 4096, "converted"),
        (None, llama_8b(**Q8), 4096, "fast"),
    ],
)
def test_how_a_pair_runs_on_cuda(number: int | None, attention: Attention, n_cells: int, expected: str) -> None:
    assert running(Card("CUDA", number), attention, n_cells).runs == expected


def test_a_head_size_without_a_kernel_is_never_fast() -> None:
    old_deepseek = Attention(192, 128, 16, 16)  # DeepSeek-V2 files from before MLA was cached
    auto = running(Card("CUDA", 86), old_deepseek, 4096)
    assert (auto.runs, auto.flash) == ("unknown", False)
    assert "-fa auto turns flash attention off" in auto.because
    on = running(Card("CUDA", 86), old_deepseek, 4096, flash="on")
    assert (on.runs, on.flash) == ("cpu", True)
    quantised = running(Card("CUDA", 86), Attention(192, 128, 16, 16, **Q8), 4096)
    assert (quantised.runs, quantised.flash) == ("cpu", True)  # a quantised V switches flash attention on


def test_iq4_nl_keys_leave_flash_attention_on_auto_and_go_to_the_cpu_when_it_is_asked_for() -> None:
    attention = llama_8b(type_k="iq4_nl", type_v="f16")
    assert running(Card("CUDA", 86), attention, 4096).flash is False
    assert running(Card("CUDA", 86), attention, 4096, flash="on").runs == "cpu"


def test_the_binary_says_which_pairs_have_a_vector_kernel() -> None:
    mixed = llama_8b(type_k="q8_0", type_v="q4_0")
    assert running(Card("CUDA", 86, ("all",)), mixed, 4096).runs == "fast"
    assert running(Card("CUDA", 86, ("f16-f16", "q8_0-q4_0")), mixed, 4096).runs == "fast"
    assert running(Card("CUDA", 86, ("f16-f16", "q8_0-q4_0")), llama_8b(**Q8), 4096).runs == "converted"
    assert running(Card("CUDA", 86, ("q8_0-q4_0",)), Attention(128, 128, 8, 8), 4096).runs == "fast"


def test_builds_before_any_pair_was_taken_send_mixed_pairs_to_the_cpu() -> None:
    mixed, q5 = llama_8b(type_k="q8_0", type_v="q4_0"), llama_8b(type_k="q5_0", type_v="q5_0")
    for attention in (mixed, q5):
        assert running(Card("CUDA", 86, build=10865), attention, 4096).runs == "cpu"
        assert running(Card("CUDA", 86, build=10880), attention, 4096).runs == "unknown"
        assert running(Card("CUDA", 86, build=10901), attention, 4096).runs == "converted"
        assert running(Card("CUDA", 86, ("all",), build=10865), attention, 4096).runs == "fast"
    assert running(Card("CUDA", 86, build=10644), llama_8b(**Q8), 4096).runs == "fast"


def test_a_card_that_is_not_known_is_assumed_and_said() -> None:
    assert running(Card("CUDA"), llama_8b(), 4096).assumed == "compute capability unknown: 8.6 assumed"
    assert running(Card("ROCm"), llama_8b(), 4096).assumed == "card unknown: gfx1100 assumed"
    assert running(Card("CUDA", 86), llama_8b(), 4096).assumed == ""


def test_other_back_ends_by_their_own_rules() -> None:
    def runs(backend: str, attention: Attention) -> str:
        return running(Card(backend), attention, 4096, flash="on").runs

    mixed, iq4 = llama_8b(type_k="q8_0", type_v="q4_0"), llama_8b(type_k="iq4_nl", type_v="iq4_nl")
    assert [runs(b, mixed) for b in ("CPU", "Vulkan", "MTL", "SYCL", "RPC")] == ["fast", "fast", "cpu", "cpu", "unknown"]
    assert [runs(b, iq4) for b in ("CPU", "Vulkan", "MTL", "SYCL")] == ["fast", "fast", "cpu", "cpu"]
    assert runs("MTL", Attention(160, 160, 8, 8)) == "cpu"
    assert runs("MTL", Attention(576, 512, 64, 1, **Q8, v_in_k=True)) == "fast"
    assert runs("Vulkan", llama_8b(type_k="bf16", type_v="f16")) == "cpu"
    assert runs("Vulkan", llama_8b(type_k="f32", type_v="f16")) == "converted"
    assert runs("SYCL", Attention(96, 96, 8, 8, **Q8)) == "converted"
    assert runs("SYCL", llama_8b(**Q8)) == "fast"
    assert runs("CPU", llama_8b(type_k="f32", type_v="f32")) == "converted"


def test_the_worst_of_several_devices_decides() -> None:
    attention = llama_8b(type_k="bf16", type_v="bf16")
    found = [running(Card("CUDA", n), attention, 4096) for n in (89, 86)]
    assert [r.runs for r in found] == ["fast", "converted"]
    assert worst(found) is found[1]
    assert worst([]).runs == "fast"


def test_f32_caches_are_cast_by_the_graph_and_not_copied_by_the_operation() -> None:
    attention, batch = llama_8b(type_k="f32", type_v="f16"), Batch(512, 4096)
    assert f32_cast_bytes(attention, batch) == (128 * 8 * 4096 * 2, 0)
    assert f16_copy_bytes(Card("CUDA", 86), attention, batch) == 0
