"""A command as people paste it, and what llama-server's own environment adds to it."""

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.command_line import CommandLine, read_command, read_pasted, split_model, starts_server
from kvtui.flags.read import parse_flags, said_overrides
from kvtui.flags.variables import variables_as_flags

FLAGS = ("-m", "x y.gguf", "-ngl", "20")


@pytest.mark.parametrize(
    "words",
    [
        ("llama-server", *FLAGS),
        ("/opt/llama.cpp/build/bin/llama-server", *FLAGS),
        ("C:\\llama\\llama-server.exe", *FLAGS),
        ("llama", "serve", *FLAGS),
        ("sudo", "-u", "llm", "nohup", "llama-server", *FLAGS),
        ("exec", "nice", "-n", "5", "./llama-server", *FLAGS),
        FLAGS,
        ("$", "llama-server", *FLAGS),
        ("llama-server", "\\", "-m", "x y.gguf", " ", "-ngl", "20"),
        ("llama-server -m 'x y.gguf' -ngl 20",),
        ("llama-server \\\n  -m 'x y.gguf' \\\n  -ngl 20\n",),
        ("llama-server ^\r\n -m 'x y.gguf' ^\r\n -ngl 20",),
        ("cd /opt && nohup ./llama-server -m 'x y.gguf' -ngl 20 > log.txt 2>&1 &",),
        ("./llama-server -m 'x y.gguf' -ngl 20 2>&1 | tee log.txt",),
    ],
)
def test_what_is_around_the_flags_is_taken_off(words: tuple[str, ...]) -> None:
    assert read_command(words).argv == FLAGS


def test_variables_before_it_are_kept() -> None:
    found = read_pasted("env CUDA_VISIBLE_DEVICES=0,2 LLAMA_ARG_CTX_SIZE=4096 sudo llama-server -m x.gguf -ot 'a=b|c>d=CPU'")
    assert found.env == (("CUDA_VISIBLE_DEVICES", "0,2"), ("LLAMA_ARG_CTX_SIZE", "4096"))
    assert found.argv == ("-m", "x.gguf", "-ot", "a=b|c>d=CPU")
    assert parse_flags(found.flags()).context.n_ctx == 4096
    assert parse_flags((*found.flags(), "-c", "512")).context.n_ctx == 512


def test_an_empty_value_is_a_value() -> None:
    assert read_command(("llama-server", "--alias", "", "-c", "64")).argv == ("--alias", "", "-c", "64")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vllm", "serve", "x"), "vllm: a command of llama-server is its name"),
        (("llama-server -m 'x.gguf",), "the command cannot be read: no closing quotation"),
        ((), "the command is empty"),
        (("",), "a command of llama-server is its name"),
    ],
)
def test_what_is_no_such_command_is_told(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_command(words)


@pytest.mark.parametrize(
    ("argv", "model", "rest"),
    [
        (("-m", "x.gguf", "-c", "64"), "x.gguf", ("-c", "64")),
        (("--model", "x.gguf"), "x.gguf", ()),
        (("-hf", "org/repo:Q4_K_M", "-m", "y.gguf"), "y.gguf", ()),
        (("-c", "64", "-hfr", "org/repo:Q4_K_M"), "hf:org/repo:Q4_K_M", ("-c", "64")),
        (("--model-url", "https://h/x.gguf"), "https://h/x.gguf", ()),
        (("-c", "64"), "", ("-c", "64")),
    ],
)
def test_the_model_is_found_in_the_flags(argv: tuple[str, ...], model: str, rest: tuple[str, ...]) -> None:
    assert split_model(argv) == (model, rest)


def test_a_model_whose_header_cannot_be_read_is_told_where_it_is_wanted() -> None:
    with pytest.raises(UsageError, match="-dr: the header of a container registry's model cannot be read here"):
        split_model(("-dr", "org/repo"))
    assert split_model(("-dr", "org/repo", "-c", "64"), wanted=False) == ("", ("-c", "64"))


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({"LLAMA_ARG_N_GPU_LAYERS": "12"}, ("--gpu-layers", "12")),
        ({"LLAMA_ARG_KV_OFFLOAD": "0"}, ("--no-kv-offload",)),
        ({"LLAMA_ARG_KV_OFFLOAD": "on"}, ("--kv-offload",)),
        ({"LLAMA_ARG_NO_KV_OFFLOAD": "whatever"}, ("--no-kv-offload",)),
        ({"LLAMA_ARG_CPU_MOE": "1"}, ("--cpu-moe",)),
        ({"LLAMA_ARG_CPU_MOE": "0"}, ()),
        ({"LLAMA_ARG_NO_SUCH": "1", "PATH": "/bin"}, ()),
    ],
)
def test_variables_say_flags(environ: dict[str, str], flags: tuple[str, ...]) -> None:
    assert variables_as_flags(environ) == flags


def test_a_variable_that_is_no_switchs_value_is_refused() -> None:
    with pytest.raises(UsageError, match="LLAMA_ARG_KV_OFFLOAD=maybe: one of on"):
        variables_as_flags({"LLAMA_ARG_KV_OFFLOAD": "maybe"})


def test_overrides_are_told_as_they_were_said() -> None:
    argv = ("-ot", "a=CPU,b=CUDA0", "-ncmoe", "3", "-c", "64", "-cmoe", "--override-tensor", "c=CPU")
    said = said_overrides(argv)
    assert [words for words, _ in said] == ["-ot a=CPU", "-ot b=CUDA0", "-ncmoe 3", "-cmoe", "--override-tensor c=CPU"]
    assert tuple(o for _, overrides in said for o in overrides) == parse_flags(argv).overrides


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        (("/usr/bin/llama-server", "-m", "x"), True),
        (("llama", "serve", "-m", "x"), True),
        (("llama", "run", "-m", "x"), False),
        (("grep", "llama-server"), False),
        ((), False),
    ],
)
def test_a_process_is_a_server_by_its_first_words(words: tuple[str, ...], starts: bool) -> None:
    assert starts_server(words) is starts


def test_a_command_is_a_value() -> None:
    assert read_command(("A=1", "-c", "64")) == CommandLine(("-c", "64"), (("A", "1"),))


@pytest.mark.parametrize(
    ("argv", "n_ctx"),
    [
        (("--kv-unified-per-slot", "8192"), 32768),  # llama-server's own four slots
        (("-np", "3", "--kv-unified-per-slot", "8192"), 24576),
        (("--kv-unified-per-slot", "8192", "-c", "16384"), 16384),
        (("-c", "0", "--kv-unified-per-slot", "8192"), 0),  # all that the model was trained for
        (("--kv-unified-per-slot", "0"), 0),
        (("--kv-unified-per-slot", "-5"), 0),
    ],
)
def test_a_context_a_slot_sizes_the_cache_where_no_context_is_said(argv: tuple[str, ...], n_ctx: int) -> None:
    flags = parse_flags(argv)
    assert flags.context.n_ctx == n_ctx
    assert flags.ignored == ()


def test_a_context_a_slot_beyond_every_number_is_refused() -> None:
    with pytest.raises(UsageError, match="--kv-unified-per-slot"):
        parse_flags(("-np", "64", "--kv-unified-per-slot", "2000000000"))
