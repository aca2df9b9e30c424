"""Flags in the words of a build: an old one, a middle one and b11434's."""

from pathlib import Path

import pytest

from kvtui.server.binary.abilities import adapt_argv, split_options
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary, parse_fa_quants

# Lines as the builds print them, shortened to the options that matter here.
OLD = """\
-c,    --ctx-size N                     size of the prompt context (default: 4096, 0 = loaded from model)
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
                                        (env: LLAMA_ARG_FLASH_ATTN)
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1
                                        (default: f16)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
--mlock                                 force system to keep model in RAM rather than swapping or compressing
--no-mmap                               do not memory-map model (slower load but may reduce pageouts if not
                                        using mlock)
-v,    --verbose, --log-verbose         Set verbosity level to infinity (i.e. log all messages)
--port PORT                             port to listen (default: 8080)
"""
NEW = """\
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - none: no special loading mode
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        whether to enable KV cache offloading (default: enabled)
                                        (env: LLAMA_ARG_KV_OFFLOAD)
-fit,  --fit [on|off]                   whether to adjust unset arguments to fit in device memory
-hf,   -hfr, --hf-repo <user>/<model>[:quant]
                                        mmproj is also downloaded automatically if available. to disable, add
                                        --no-mmproj
--control-vector-layer-range START END
                                        layer range to apply the control vector(s) to, start and end inclusive
-lv,   --verbosity, --log-verbosity N   Set the verbosity threshold.
--fim-qwen-1.5b-default                 use default Qwen 2.5 Coder 1.5B (note: can download weights from the
                                        internet)
"""


def binary(help_text: str, build: str = "b5000") -> ServerBinary:
    return ServerBinary(Path("/x/llama-server"), build, "version", build, ("CPU",), parse_help(help_text))


def test_help_is_read_option_by_option() -> None:
    new = binary(NEW)
    assert new.by_name["-nkvo"].names == ("-kvo", "--kv-offload", "-nkvo", "--no-kv-offload")
    assert new.by_name["-nkvo"].values == 0
    assert new.by_name["--fit"].values == 1
    assert new.by_name["-hf"].value_hint == "<user>/<model>[:quant]"
    assert new.by_name["--control-vector-layer-range"].values == 2
    assert new.by_name["--fim-qwen-1.5b-default"].values == 0
    assert "--no-mmproj" not in new.flags  # a word of a description
    assert "f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1" in binary(OLD).by_name["--cache-type-k"].text


@pytest.mark.parametrize(
    ("argv", "adapted"),
    [
        (["-c", "4096", "-ngl", "10"], ("-c", "4096", "-ngl", "10")),
        (["-fa", "on"], ("--flash-attn",)),
        (["-fa", "off"], ()),
        (["-fa"], ("-fa",)),
        (["--fit", "off"], ()),
        (["-no-kvu"], ()),
        (["-c", "-1"], ("-c", "-1")),
    ],
)
def test_an_old_build_without_a_note(argv: list[str], adapted: tuple[str, ...]) -> None:
    assert adapt_argv(argv, binary(OLD)) == (adapted, ())


@pytest.mark.parametrize(
    ("argv", "adapted", "note"),
    [
        (["-lm", "none"], ("--no-mmap",), "-lm none is --no-mmap in b5000"),
        (["-lm", "mmap+mlock"], ("--mlock",), "-lm mmap+mlock is --mlock in b5000"),
        (["-lm", "mmap"], (), "-lm mmap left out: it is what b5000 does anyway"),
        (["-lm", "dio"], (), "-lm dio left out: b5000 has no -lm"),
        (["-lv", "4"], ("--verbose",), "-lv 4 is --verbose in b5000"),
        (["--fit", "on"], (), "--fit on left out: b5000 has no --fit"),
        (["--n-cpu-moe", "3", "-c", "8"], ("-c", "8"), "--n-cpu-moe 3 left out: b5000 has no --n-cpu-moe"),
        (["-cmoe", "-c", "8"], ("-c", "8"), "-cmoe left out: b5000 has no -cmoe"),
        (["-fa", "auto"], (), "-fa auto left out: b5000 can only switch flash attention on, and leaves it off"),
    ],
)
def test_an_old_build_with_a_note(argv: list[str], adapted: tuple[str, ...], note: str) -> None:
    assert adapt_argv(argv, binary(OLD)) == (adapted, (note,))


def test_a_new_build_has_lost_the_old_switches() -> None:
    argv, notes = adapt_argv(["--no-mmap", "-fa", "auto", "--mlock"], binary(NEW, "b11434"))
    assert argv == ("--load-mode", "none", "-fa", "auto", "--load-mode", "mmap+mlock")
    assert notes == (
        "--no-mmap is --load-mode none in b11434",
        "--mlock is --load-mode mmap+mlock in b11434",
    )


def test_options_with_two_values_stay_together() -> None:
    assert split_options(["--control-vector-layer-range", "3", "7", "-nkvo"], binary(NEW)) == [
        ("--control-vector-layer-range", ("3", "7")),
        ("-nkvo", ()),
    ]


def test_compiled_cache_pairs_of_a_cuda_build() -> None:
    line = "system_info: n_threads = 8 | CUDA : ARCHS = 860 | FA_QUANTS = q4_0-q4_0;q8_0-q8_0;f16-f16 | CPU : AVX2 = 1 |"
    assert parse_fa_quants(line) == ("q4_0-q4_0", "q8_0-q8_0", "f16-f16")
    assert parse_fa_quants("CUDA : ARCHS = 860 | FA_ALL_QUANTS = 1 | CPU") == ("all",)
    assert parse_fa_quants("CPU : AVX2 = 1 |") is None
