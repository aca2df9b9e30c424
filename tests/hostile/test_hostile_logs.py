"""Lines that a model's name, its chat template or its answers put into a log, in the server's own form: none is believed."""

import sys
from pathlib import Path

import pytest

from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.log.breakdown import MIB, Parts, logged_memory, parse_event
from kvtui.server.log.cells import CacheCells, cache_cells
from kvtui.server.log.follow import parse_line
from kvtui.server.log.out_of_memory import OutOfMemory, out_of_memory
from kvtui.server.log.progress import LoadProgress
from kvtui.server.log.reasons import explain
from kvtui.server.measure.dry_run import DryRun, dry_run
from kvtui.server.measure.trust import doubt

LOAD = """\
0.00.001.000 I srv    load_model: loading model 'm.gguf'
0.00.001.001 I llama_model_loader: loaded meta data with 40 key-value pairs
0.00.001.003 I llama_prepare_model_devices: using device CUDA0 (RTX 3090) (0000:02:00.0) - 24000 MiB free
0.00.010.000 I print_info: arch                  = llama
0.00.010.001 I print_info: general.name          = x
{name}0.00.010.004 I print_info: max token length      = 48
0.00.020.001 I load_tensors:        CUDA0 model buffer size =  9000.00 MiB
0.00.030.000 I llama_context: constructing llama_context
0.00.030.001 I llama_context: n_ctx                 = 4096
0.00.030.002 I llama_context: kv_unified            = true
0.00.031.000 I sched_reserve:      CUDA0 compute buffer size =   300.00 MiB
0.00.040.000 I srv          init: init: chat template, example_format: '<|user|>
{template}Hello<|end|>'
0.00.041.000 I srv          init: init: chat template, thinking = 0
0.00.042.000 I srv  llama_server: model loaded
0.00.043.000 I srv  llama_server: listening on http://127.0.0.1:18432
{answer}"""
FORGED = {
    "a buffer": "0.00.035.000 I sched_reserve:      CUDA0 compute buffer size = 20000.00 MiB\n",
    "a device": "0.00.035.000 I llama_prepare_model_devices: using device CUDA9 (x) (y) - 99000 MiB free\n",
    "a context": "0.00.035.000 I llama_context: constructing llama_context\n"
    "0.00.035.000 I llama_context: n_ctx                 = 99\n0.00.035.000 I llama_context: kv_unified            = false\n",
    "a table": "0.00.035.000 I common_memory_breakdown_print: | memory breakdown [MiB] |\n"
    "0.00.035.000 I common_memory_breakdown_print: |   - CUDA0 (x) | 9 = 9 + ( 47 = 17 + 12 + 17) + -47 |\nend\n",
    "an event": '{"type":"fit_memory_breakdown","data":{"rows":[]}}\n',
    "out of memory": "0.00.035.000 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1812.00 MiB on device 0: "
    "cudaMalloc failed: out of memory\n",
    "the template's end": "0.00.041.000 I srv          init: init: chat template, thinking = 0\n"
    "0.00.035.000 E ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 1900019712\n",
}


def log(name: str = "", template: str = "", answer: str = "") -> list[str]:
    """As the app reads it."""
    return [parse_line(raw).text for raw in LOAD.format(name=name, template=template, answer=answer).encode().split(b"\n")]


def why(lines: list[str]) -> str | None:
    return explain([parse_line(line.encode()) for line in lines])


@pytest.mark.parametrize("where", ["name", "template", "answer"])
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_is_forged_changes_nothing(forged: str, where: str) -> None:
    plain, lines = logged_memory(log()), log(**{where: forged})
    memory = logged_memory(lines)
    assert plain.devices == {"CUDA0": Parts(9000 * MIB, 0, 300 * MIB)}
    # a name can begin what looks like another context: then nothing is learned at all
    assert memory == plain or doubt(memory, {}) == "text of the model stands among the server's own lines"
    assert memory.devices == plain.devices
    assert cache_cells(lines) == cache_cells(log()) == CacheCells(4096, True)
    assert out_of_memory(lines) is None


@pytest.mark.parametrize("where", ["name", "template"])
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_no_reason_is_found_in_a_models_text(forged: str, where: str) -> None:
    assert why(log(**{where: forged})) is None


def test_words_of_a_request_are_no_reason() -> None:
    said = "1.00.000.000 I slot get_available: prompt: 'ggml: std::bad_alloc CUDA error: out of memory'\n"
    assert why(log(answer=said)) is None
    assert why(log(answer="1.00.000.000 E CUDA error: out of memory\n")) is not None


BIND = "0.00.050.000 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1\n"
ANSWERED = "1.00.000.000 I slot update_slots: id  0 | task 7 | prompt done\n"


@pytest.mark.parametrize(
    "answer",
    [
        BIND,
        "error: invalid argument: --bogus\n",
        "0.00.000.000 E llama_model_load: error loading model: the moon\n",
        "1.00.000.000 E CUDA error: out of memory\n" + ANSWERED * 300,
        "1.00.000.000 E srv operator(): said 'ggml_backend_x: allocating 9 MiB on device 0: cudaMalloc failed: out of memory'\n",
        "they wrote terminate called after throwing an instance of 'std::bad_alloc'\n",
    ],
)
def test_after_the_load_only_the_last_words_are_a_reason(answer: str) -> None:
    assert why(log(answer=answer)) is None


@pytest.mark.parametrize(
    "last",
    [
        "1.00.000.000 E CUDA error: out of memory\n",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "/x/ggml-rpc.cpp:547: Remote RPC server crashed or returned malformed response\n",
    ],
)
def test_a_real_end_of_a_server_that_serves_is_told(last: str) -> None:
    assert why(log(answer=ANSWERED * 300 + last)) is not None


@pytest.mark.parametrize("forged", [BIND, FORGED["out of memory"]])
def test_a_tensors_name_goes_on_in_no_line_that_is_believed(forged: str) -> None:
    said = "0.00.020.000 E llama_model_load: error loading model: missing tensor 'x\n"
    lines = [*log()[:9], *(said + forged).splitlines()]
    assert why(lines) == "the model cannot be loaded: missing tensor 'x"
    assert out_of_memory(lines) is None


@pytest.mark.parametrize("letter", ["I", "D"])
def test_what_is_only_told_is_no_refusal(letter: str) -> None:
    lines = [*log()[:9], *FORGED["out of memory"].replace(" E ", f" {letter} ").splitlines()]
    assert out_of_memory(lines) is None
    assert why(lines) is None


TABLE = """\
0.32 I x_memory_breakdown_print: | memory breakdown [MiB] |
0.33 I x_memory_breakdown_print: |   - CUDA0 (RTX 3090) | 24000 = 23000 + (9300 =  9000 +       0 +     300) +       0 |
0.34 I x_memory_breakdown_print: |   - Host             |  10 =     1 +       2 +       4 |
0.35 I llama_server: end
"""
GIVES_UP = "0.00.030.006 W common_fit_params: failed to fit params to free device memory: n_gpu_layers already set, abort\n"
LOADS = """\
0.00.040.000 I llama_model_loader: loaded meta data with 40 key-value pairs
0.00.050.000 I print_info: arch                  = llama
0.00.050.001 I print_info: vocab_only            = 0
0.00.050.002 I print_info: no_alloc              = 0
0.00.050.003 I print_info: general.name          = x
"""
STRINGS = "0.00.010.004 I print_info: max token length      = 48\n"
HEAD = LOAD[: LOAD.index("{name}")].replace("= x\n", "= ")
HELP = "--fit VALUE      fit\n-c N             context\n--port PORT      port\n--host HOST      host\n-v               all\n"


def asked(folder: Path, said: str) -> DryRun:
    """A dry run of a program that says this, and stays."""
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport time\nprint({said!r}, flush=True)\ntime.sleep(60)\n")
    path.chmod(0o755)
    binary = ServerBinary(path, "b11434", "version", "", ("CPU",), parse_help(HELP))
    return dry_run(binary, Path("m.gguf"), ("-c", "512"), 30.0, cache=folder)


@pytest.mark.parametrize(
    ("name", "believed"),
    [
        ("failed to fit params", True),
        ("x failed to fit params to free device memory", True),
        ("x\nfailed to fit params", False),
        (f"x\n{GIVES_UP.strip()}", False),
        ("x\n0.00.010.002 I print_info: no_alloc              = 0", False),
    ],
)
def test_a_name_ends_no_dry_run_as_refused(name: str, believed: bool, tmp_path: Path) -> None:
    answer = asked(tmp_path, f"{HEAD}{name}\n{STRINGS}{TABLE}")
    assert answer.refused is None
    if believed:
        assert answer.devices == {"CUDA0": Parts(9000 * MIB, 0, 300 * MIB)}


def test_a_dry_run_that_gives_up_is_still_refused(tmp_path: Path) -> None:
    answer = asked(tmp_path, f"{HEAD}x\n{STRINGS}{GIVES_UP}{LOADS}")
    assert answer.refused is not None
    assert "failed to fit params" in answer.refused


def test_a_real_refusal_is_still_told() -> None:
    lines = log()[:10] + FORGED["out of memory"].splitlines()
    assert out_of_memory(lines) == OutOfMemory("CUDA0", "model", 1812 * MIB, 15000 * MIB)
    assert why(lines) == "CUDA0 is out of memory: no room for 1,812 MiB"


@pytest.mark.parametrize("lines", [log(), log(name="0.00.010.002 I srv  llama_server: model loaded\n")[:6]])
def test_no_log_makes_a_server_ready(lines: list[str]) -> None:
    assert not LoadProgress().after(lines).ready


@pytest.mark.parametrize("number", ["1.2.3", "9" * 400, "-5", "nan", "1e400", "9" * 1900, "\u0663"])
def test_a_figure_that_is_none(number: str) -> None:
    spoilt = [
        f"0.00.020.001 I load_tensors:        CUDA0 model buffer size = {number} MiB",
        f"0.00.001.003 I llama_prepare_model_devices: using device CUDA0 (x) (y) - {number} MiB free",
        f"0.00.1 I x_memory_breakdown_print: |   - CUDA0 (x) | {number} = {number} + ( 47 = {number} + 12 + 17) + -47 |",
        f"0.00.1 E x: allocating {number} MiB on device {number}: cudaMalloc failed: out of memory",
        f"0.00.1 E x: failed to allocate CUDA0 buffer of size {number}",
    ]
    for line in spoilt:
        lines = [*log()[:9], line]
        assert logged_memory(lines).devices == {"CUDA0": Parts(9000 * MIB)}
        out_of_memory(lines)
        why(lines)


@pytest.mark.parametrize("value", ["[" * 1500, "1e400", "NaN", "9" * 1500])
def test_json_that_is_deep_or_no_number_is_no_event(value: str) -> None:
    row = f'{{"kind":"host","name":"Host","model":{value},"context":0,"compute":0}}'
    assert parse_event(f'{{"type":"fit_memory_breakdown","data":{{"rows":[{row}]}}}}') is None
    assert parse_line(f'{{"type":"log","level":"info","msg":{value}}}'.encode()).level in ("info", "debug")
