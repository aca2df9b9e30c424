"""`kvtui review`: what a command holds, what its patterns match, and our plan beside it, by figures that can be counted."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvtui.base.findings import UsageError
from kvtui.cli.commands import cli
from kvtui.hardware.simulated import parse_devices
from kvtui.hardware.visible import left_visible

MIB = 2**20
TWO = ("--device", "CUDA0=23GiB/24GiB@936GB/s", "--device", "CUDA1=11GiB/12GiB@360GB/s", "--ram", "64GiB@60GB/s")
# of qwen3-30b-a3b-q4_k_m: gate, up and down of the first blocks' experts, in bytes
EXPERTS = 113_246_208 + 113_246_208 + 165_150_720
BASE = ("-c", "8192", "-np", "1")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def model(headers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headers.write("qwen3-30b-a3b-q4_k_m", tmp_path_factory.mktemp("models"))


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["review", *map(str, args)], standalone_mode=False)


def reviewed(*args: str | Path) -> tuple[int, Json]:
    done = run("--json", *args)
    assert done.stdout, done.exception
    return done.exit_code, json.loads(done.stdout)


def of_codes(value: Json, *codes: str) -> list[str]:
    return [f["message"] for f in value["findings"] if f["code"] in codes]


def test_each_pattern_is_counted(model: Path) -> None:
    ot = (r"-ot", r"blk\.[0-3]\.ffn_.*_exps=CPU", "-ot", "no_such=CPU", "-ot", r"blk\.2\.ffn_up_exps=CUDA1", "-ncmoe", "5")
    code, value = reviewed(*TWO, "--", "llama-server", "-m", model, *BASE, *ot)
    assert code == 0
    first, none, shadowed, counted = value["patterns"]
    assert (first["tensors"], first["bytes"], first["device"]) == (12, 4 * EXPERTS, "CPU")
    assert first["examples"][0] == "blk.0.ffn_gate_exps.weight"
    assert (none["matched"], none["bytes"]) == (0, 0)
    assert (shadowed["tensors"], shadowed["matched"], shadowed["taken_by"]) == (0, 1, [first["said"]])
    assert (counted["said"], counted["tensors"], counted["taken"]) == ("-ncmoe 5", 3, 12)
    assert of_codes(value, "pattern-matches-nothing") == ["-ot no_such=CPU: matches no tensor of this model"]
    assert of_codes(value, "pattern-shadowed") == [
        rf"-ot blk\.2\.ffn_up_exps=CUDA1: moves nothing, {first['said']} before it takes what it matches"
    ]


def test_all_experts_are_one_pattern(model: Path) -> None:
    _, value = reviewed(*TWO, "--", "-m", model, *BASE, "-cmoe")
    (use,) = value["patterns"]
    assert (use["said"], use["tensors"], use["device"]) == ("-cmoe", 144, "CPU")


def test_a_pattern_that_says_what_is_so_anyway(model: Path) -> None:
    _, value = reviewed(*TWO, "--", "-m", model, *BASE, "-ot", r"blk\.0\.=CUDA0,token_embd=CPU")
    first, embedding = value["patterns"]
    assert first["there_anyway"] == first["tensors"] > 0
    assert (embedding["tensors"], embedding["there_anyway"]) == (1, 1)


def test_an_overflow_is_told_by_its_size(model: Path) -> None:
    """The same command on a card that has 100 MiB less than it takes beside the margin."""
    command = ("--", "llama-server", "-m", model, *BASE, "-ngl", "99")
    code, roomy = reviewed("--device", "CUDA0=40GiB@936GB/s", "--ram", "64GiB@60GB/s", *command)
    assert (code, roomy["over"], roomy["fits"]) == (0, [], True)
    free = roomy["devices"][0]["used_bytes"] + 1024 * MIB - 100 * MIB
    code, value = reviewed("--device", f"CUDA0={free}@936GB/s", "--ram", "64GiB@60GB/s", *command)
    assert (code, value["fits"]) == (1, False)
    assert value["over"] == [{"name": "CUDA0", "bytes": 100 * MIB}]
    assert value["plan"]["fits"]
    text = run("--device", f"CUDA0={free}@936GB/s", "--ram", "64GiB@60GB/s", *command).stdout
    assert "CUDA0 is over by 100 MiB" in text
    assert "if the command fitted" in text
    assert len(of_codes(value, "fit-on")) == 1
    _, exact = reviewed("--device", f"CUDA0={free}@936GB/s", "--ram", "64GiB@60GB/s", *command, "--fit", "off")
    assert of_codes(exact, "fit-on") == []


def test_it_holds_what_an_estimate_and_a_plan_have(model: Path) -> None:
    flags = (*BASE, "-ngl", "30", "-ts", "3,1", "-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on")
    _, value = reviewed(*TWO, "--", "llama-server", "-m", model, *flags, "--port", "9999", "-t", "8")
    done = CliRunner().invoke(cli, ["estimate", str(model), *TWO, "--json", "--", *flags], standalone_mode=False)
    estimate = json.loads(done.stdout)
    for key in ("build", "model", "context", "devices", "beside", "host", "layer_devices", "fits", "speed"):
        assert value[key] == estimate[key], key
    planned = ("plan", str(model), *TWO, *BASE, "-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on", "--json")
    plan = json.loads(CliRunner().invoke(cli, planned, standalone_mode=False).stdout)
    assert value["plan"]["argv"] == plan["argv"]
    assert value["plan"]["context"] == value["context"]
    assert value["argv"] == [*flags, "--port", "9999", "-t", "8"]


def test_the_difference_is_the_plan_less_the_command(model: Path) -> None:
    _, value = reviewed(*TWO, "--", "llama-server", "-m", model, *BASE, "-ngl", "20")
    found = value["difference"]
    assert not found["same"]
    for before, after, change in zip(value["devices"], value["plan"]["devices"], found["devices"], strict=True):
        assert after["used_bytes"] - before["used_bytes"] == change["used_bytes"]
    assert found["tokens_per_second"] == pytest.approx(
        value["plan"]["speed"]["tokens_per_second"] - value["speed"]["tokens_per_second"]
    )
    moved = sum(a != b for a, b in zip(value["layer_devices"], value["plan"]["layer_devices"], strict=True))
    assert sum(m["count"] for m in found["moves"] if m["what"] == "block") == moved > 0


def test_our_own_command_is_the_same(model: Path) -> None:
    _, first = reviewed(*TWO, "--", "llama-server", "-m", model, *BASE)
    again = ("--", "llama-server", "-m", model, *first["plan"]["argv"])
    code, value = reviewed(*TWO, *again)
    assert code == 0
    assert value["difference"]["same"]
    assert value["difference"]["moves"] == []
    assert run(*TWO, *again).stdout.splitlines()[-1] == "the same"


def test_a_context_left_open_is_the_trained_one_for_both(model: Path) -> None:
    _, value = reviewed("--device", "CUDA0=40GiB@936GB/s", "--ram", "64GiB@60GB/s", "--", "-m", model, "-np", "1")
    assert value["context"]["requested"] == value["plan"]["context"]["requested"] == value["model"]["trained_context"]


def test_the_named_model_wins(model: Path) -> None:
    command = ("--", "llama-server", "-m", "/elsewhere/other.gguf", *BASE)
    _, value = reviewed(model, *TWO, *command)
    assert value["model"]["path"] == str(model)
    done = run(*TWO, *command)
    assert isinstance(done.exception, UsageError)
    assert "/elsewhere/other.gguf" in str(done.exception)


def test_variables_of_the_command_count(model: Path) -> None:
    before = "CUDA_VISIBLE_DEVICES=1 LLAMA_ARG_CTX_SIZE=4096 GGML_CUDA_ENABLE_UNIFIED_MEMORY=1"
    pasted = f"{before} llama-server -m '{model}' \\\n -np 1 -cmoe"
    for words in (("--", pasted), (pasted,)):
        _, value = reviewed(*TWO, *words)
        assert [(d["name"], d["total_bytes"]) for d in value["devices"]] == [("CUDA0", 12 * 2**30)]
        assert value["context"]["requested"] == 4096
        assert value["plan"]["env"]["CUDA_VISIBLE_DEVICES"] == "1"
        assert of_codes(value, "devices-visible", "environment-not-counted") == [
            "CUDA0 of 2, as the environment has it; CUDA0 is CUDA1 here",
            "GGML_CUDA_ENABLE_UNIFIED_MEMORY is not counted",
        ]


def test_options_count_where_the_command_is_silent(model: Path) -> None:
    options = ("-c", "4096", "-np", "1", "--pin", "output.weight=CPU")
    _, value = reviewed(*TWO, *options, "--", "-m", model)
    assert value["context"]["requested"] == value["plan"]["context"]["requested"] == 4096
    assert value["plan"]["host"]["weights_bytes"] > value["host"]["weights_bytes"] > 0
    _, value = reviewed(*TWO, *options, "--", "-m", model, "-c", "2048")
    assert value["context"]["requested"] == 2048


def test_names_that_the_command_changes_are_no_names_for_options(model: Path) -> None:
    done = run(*TWO, "--exclude", "CUDA1", "--", "CUDA_VISIBLE_DEVICES=1", "llama-server", "-m", model, *BASE)
    assert isinstance(done.exception, UsageError)
    assert "names them anew" in str(done.exception)


def test_devices_are_numbered_as_the_program_sees_them() -> None:
    devices = parse_devices(("RPC0=4GiB", "CUDA0=1GiB", "CUDA1=2GiB", "CUDA2=3GiB"))
    seen = left_visible(devices, {"CUDA_VISIBLE_DEVICES": "2,0"})
    assert [(i, d.name, d.free_bytes >> 30) for i, d in seen] == [(0, "RPC0", 4), (3, "CUDA0", 3), (1, "CUDA1", 1)]
    for none in ("", "-1", "1,1"):
        assert [d.name for _, d in left_visible(devices, {"CUDA_VISIBLE_DEVICES": none})] == ["RPC0"]
    assert [i for i, _ in left_visible(devices, {"CUDA_VISIBLE_DEVICES": "1,7,0"})] == [0, 2]
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES=GPU-1: only numbers"):
        left_visible(devices, {"CUDA_VISIBLE_DEVICES": "GPU-1"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--", "vllm", "serve", "x"), "vllm: a command of llama-server"),
        (("--", "llama-server", "-m", "MODEL", "--no-such-flag"), "--no-such-flag: llama-server has no such flag"),
        (("--", "llama-server", "-m", "MODEL", "-ctk", "q9"), "-ctk q9: no such cache type"),
        (("--", "llama-server", "-m", "MODEL", "-ot", "exps=GPU"), "-ot: there is no buffer GPU"),
        (("--", "llama-server", "-m", "MODEL", "-dev", "CUDA7"), "-dev CUDA7: no such device"),
        (("--", "llama-server", "-c", "64"), "MODEL is missing: neither named, nor in the command"),
        (("--", "llama-server", "-m", "MODEL", "-ot", "(=CPU"), "not a regular expression"),
        (("--pid", "1", "--", "llama-server"), "--pid and a command: give one of them"),
        (("--pid", str(2**30)), "no such process"),
        (("--pid", str(os.getpid())), "is no llama-server"),
    ],
)
def test_what_is_not_understood_is_one_sentence(model: Path, given: tuple[str, ...], message: str) -> None:
    done = run(*TWO, *(str(model) if g == "MODEL" else g for g in given))
    assert isinstance(done.exception, UsageError), done.stdout
    assert message in str(done.exception)
    assert not done.stdout
    assert len(str(done.exception).splitlines()) == 1


def test_a_refused_command_exits_1(model: Path) -> None:
    code, value = reviewed(*TWO, "--", "-m", model, *BASE, "-sm", "row")
    assert code == 1
    assert not value["fits"]


@pytest.fixture
def stub(model: Path, tmp_path: Path) -> Iterator[int]:
    """The pid of a program by the name of llama-server, started in the model's folder."""
    program = tmp_path / "llama-server"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    program.chmod(0o755)
    argv = [program, "-m", model.name, *BASE, "-ncmoe", "4", "--api-key", "sesame-1234"]
    env = {**os.environ, "LLAMA_ARG_UBATCH": "256", "CUDA_VISIBLE_DEVICES": "0"}
    child = subprocess.Popen(argv, cwd=model.parent, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        yield child.pid
    finally:
        child.kill()
        child.communicate()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
def test_a_process_is_read_with_its_environment(stub: int, model: Path) -> None:
    code, value = reviewed(*TWO, "--pid", str(stub))
    assert code == 0
    assert value["pid"] == stub
    assert value["model"]["path"] == str(model)
    assert value["argv"] == ["--ubatch-size", "256", *BASE, "-ncmoe", "4"]
    assert [d["name"] for d in value["devices"]] == ["CUDA0"]
    assert value["patterns"][0]["tensors"] == 12
    assert "sesame" not in json.dumps(value)
