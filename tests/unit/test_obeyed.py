"""Every option that the commands share is obeyed or refused, none is accepted and ignored: the whole list is walked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kvtui.base.findings import UsageError
from kvtui.cli.commands import cli

MACHINE = ("--device", "CUDA0=6GiB@900GB/s", "--device", "CUDA1=3GiB@400GB/s", "--ram", "16GiB@50GB/s")
CONTEXT = ("-c", "8192", "-np", "1")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def model(headers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headers.write("llama-3.1-8b-q4_k_m", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def files(headers: Any, beside_headers: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands beside a model."""
    folder = tmp_path_factory.mktemp("beside")
    return {
        "PROJECTOR": str(beside_headers.write("mmproj-qwen3.6-27b-f16", folder)),
        "DRAFT": str(headers.write("llama-dense", folder)),
    }


def named(files: dict[str, str], given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(files.get(g, g) for g in given)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, args)], standalone_mode=False)


def planned(model: Path, *args: str | Path) -> Json:
    done = run("plan", model, *MACHINE, *CONTEXT, *args, "--json")
    assert done.stdout, done.exception
    value: Json = json.loads(done.stdout)
    return value


def said(model: Path, *args: str | Path, command: str = "plan") -> str:
    """The one line of a refusal; what ends so ends with exit code 2."""
    done = run(command, model, *MACHINE, *args)
    assert isinstance(done.exception, UsageError | click.ClickException), done.stdout
    assert not done.stdout
    problem = done.exception
    text = problem.format_message() if isinstance(problem, click.ClickException) else str(problem)
    assert len(text.splitlines()) == 1
    return text


def after(flag: str) -> Callable[[Json], Any]:
    """The word after a flag of the plan's argv; None without it."""
    return lambda plan: plan["argv"][plan["argv"].index(flag) + 1] if flag in plan["argv"] else None


def has(flag: str) -> Callable[[Json], Any]:
    return lambda plan: flag in plan["argv"]


def device(name: str, key: str) -> Callable[[Json], Any]:
    return lambda plan: next(d[key] for d in plan["devices"] if d["name"] == name)


MIB = 2**20
# option -> (what is given, where it shows in the plan, what is there then)
OBEYED: dict[str, tuple[tuple[str, ...], Callable[[Json], Any], Any]] = {
    "device": (("--device", "CUDA2=1GiB"), lambda p: len(p["devices"]), 3),
    "ram": (("--ram", "12GiB"), lambda p: p["host"]["free_bytes"], 12 * 2**30),
    "margin": (("--margin", "2GiB,256MiB"), lambda p: [d["margin_bytes"] for d in p["devices"]], [2**31, 2**28]),
    "display_margin": (
        ("--device", "CUDA2=2GiB,display", "--display-margin", "512MiB"),
        lambda p: [d["margin_bytes"] for d in p["devices"]],
        [2**30, 2**30, 2**29],
    ),
    "ram_margin": (("--ram-margin", "2GiB"), lambda p: p["host"]["margin_bytes"], 2**31),
    "ctx_size": (("-c", "4k"), lambda p: p["context"]["requested"], 4000),
    "cache_type_k": (("-ctk", "q8_0"), after("-ctk"), "q8_0"),
    "cache_type_v": (("-ctv", "q5_1"), after("-ctv"), "q5_1"),
    "parallel": (("-np", "2"), after("-np"), "2"),
    "kv_unified": (("-kvu",), has("-kvu"), True),
    "batch_size": (("-b", "1024"), after("-b"), "1024"),
    "ubatch_size": (("-ub", "256"), after("-ub"), "256"),
    "flash_attn": (("-fa", "off"), after("-fa"), "off"),
    "swa_full": (("--swa-full",), has("--swa-full"), True),
    "embedding": (("--embedding",), has("--embedding"), True),
    "rerank": (("--rerank",), after("--pooling"), "rank"),
    "pooling": (("--embedding", "--pooling", "last"), after("--pooling"), "last"),
    "no_kv_offload": (("-nkvo",), has("-nkvo"), True),
    "load_mode": (("-lm", "mmap+mlock"), after("-lm"), "mmap+mlock"),
    "mmproj": (("--mmproj", "PROJECTOR"), device("CUDA0", "beside_bytes"), round(1132.7140502929688 * MIB)),
    "no_mmproj_offload": (
        ("--mmproj", "PROJECTOR", "--no-mmproj-offload"),
        lambda p: p["beside"] and p["beside"][0]["device"],
        "CPU",
    ),
    "mmproj_device": (
        ("--mmproj", "PROJECTOR", "-mmdev", "CUDA1"),
        lambda p: p["beside"] and p["beside"][0]["device"],
        "CUDA1",
    ),
    "image_min_tokens": (("--mmproj", "PROJECTOR", "--image-min-tokens", "64"), after("--image-min-tokens"), "64"),
    "image_max_tokens": (("--mmproj", "PROJECTOR", "--image-max-tokens", "100"), after("--image-max-tokens"), "100"),
    "model_draft": (("-md", "DRAFT"), lambda p: {x["what"] for x in p["beside"]}, {"draft"}),
    "gpu_layers_draft": (("-md", "DRAFT", "-ngld", "0"), after("-ngld"), "0"),
    "cache_type_k_draft": (("-md", "DRAFT", "-ctkd", "q8_0"), after("-ctkd"), "q8_0"),
    "cache_type_v_draft": (("-md", "DRAFT", "-ctvd", "q4_0"), after("-ctvd"), "q4_0"),
    "device_draft": (
        ("-md", "DRAFT", "-devd", "CUDA1"),
        lambda p: {x["device"] for x in p["beside"]},
        {"CUDA1", "CPU"},
    ),
    "override_tensor_draft": (("-md", "DRAFT", "-otd", "ffn_up=CPU"), after("-otd"), "ffn_up=CPU"),
    "cpu_moe_draft": (("-md", "DRAFT", "-cmoed"), has("-otd"), True),
    "n_cpu_moe_draft": (("-md", "DRAFT", "-ncmoed", "1"), has("-otd"), True),
    "moe_cache_mib": (("--moe-cache-mib", "64", "--build", "b11549"), after("--moe-cache-mib"), "64"),
    "spec_draft_n_max": (("--spec-draft-n-max", "5"), after("--spec-draft-n-max"), "5"),
    "spec_type": (("--spec-type", "ngram-mod"), after("--spec-type"), "ngram-mod"),
    "pin": (("--pin", r"^output\.weight$=CPU"), lambda p: p["host"]["weights_bytes"] > 600 * MIB, True),
    "exclude": (("--exclude", "CUDA1"), device("CUDA1", "used_bytes"), 0),
    "prefer": (("--prefer", "CUDA1"), lambda p: (after("-dev")(p) or "").split(",")[0], "CUDA1"),
    "no_ram": (("--no-ram",), lambda p: "CPU" in p["layer_devices"], False),
    "goal": (("--goal", "memory"), lambda p: p["context"]["type_k"] != "f16", True),
    "build": (("--build", "b11400"), lambda p: p["build"], "b11400"),
    "prove": (("--prove",), lambda p: p["optimality"]["proven"], True),
    "seconds": (("--time", "0.5"), lambda p: p["timings"]["plan_seconds"] < 5, True),
}
# options of whose values only some can be refused, and what a bad one is told
REFUSED: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "device": [(("--device", "CUDA3=0"), "a device of 0 bytes"), (("--device", "CUDA0=1GiB"), "given twice")],
    "ram": [(("--ram", "much"), "'much' is not a size")],
    "margin": [(("--margin", "4GiB"), "more than CUDA1 has"), (("--margin", "1,2,3"), "3 margins for 2 devices")],
    "display_margin": [
        (("--display-margin", "2GiB"), "no device is known to draw a desktop here"),
        (("--device", "CUDA2=2GiB,display", "--display-margin", "3GiB"), "more than CUDA2 has (2,048 MiB)"),
    ],
    "ram_margin": [(("--ram-margin", "17GiB"), "17,408 MiB are more than there is (16,384 MiB)")],
    "ctx_size": [(("-c", "-1"), "a context is between")],
    "cache_type_k": [(("-ctk", "q8"), "did you mean q8_0?")],
    "cache_type_v": [(("-ctv", "bogus"), "no such cache type")],
    "parallel": [(("-np", "0"), "slots are 1 or more")],
    "batch_size": [(("-b", "0"), "1 token or more")],
    "ubatch_size": [(("-ub", "-4"), "1 token or more")],
    "flash_attn": [(("-fa", "maybe"), "is not one of")],
    "load_mode": [(("-lm", "bogus"), "-lm bogus: one of auto, none, mmap")],
    "mmproj": [(("--mmproj", "/no/such.gguf"), "--mmproj /no/such.gguf: no such file")],
    "model_draft": [(("-md", "/no/such.gguf"), "-md /no/such.gguf: no such file")],
    "mmproj_device": [(("-mmdev", "CUDA0,CUDA1"), "-mmdev CUDA0,CUDA1: a projector takes one device")],
    "gpu_layers_draft": [(("-ngld", "many"), "-ngld many: not a number")],
    "cache_type_k_draft": [(("-ctkd", "bogus"), "-ctkd bogus: no such cache type")],
    "cache_type_v_draft": [(("-ctvd", "bogus"), "-ctvd bogus: no such cache type")],
    "device_draft": [(("-md", "DRAFT", "-devd", "CUDA9"), "the draft model's -dev CUDA9: no such device")],
    "override_tensor_draft": [(("-otd", "x"), "-otd")],
    "n_cpu_moe_draft": [(("-ncmoed", "-1"), "-ncmoed -1: a number of blocks is 0 or more")],
    "moe_cache_mib": [
        (("--moe-cache-mib", "64"), "llama-server b11434 has no such flag; b11549 has it"),
        (("--moe-cache-mib", "-1", "--build", "b11549"), "a cache is 0 MiB or more"),
    ],
    "spec_draft_n_max": [(("--spec-draft-n-max", "-1"), "a draft is 0 tokens or more")],
    "spec_type": [
        (("--spec-type", "foo"), "--spec-type foo: one of"),
        (("--spec-type", "mtp"), "--spec-type mtp: today it is called draft-mtp"),
        (("--spec-type", "draft-mtp"), "has no MTP block"),
    ],
    "pin": [(("--pin", "exps"), "REGEX=DEVICE"), (("--pin", "x=CUDA9"), "there is no device CUDA9")],
    "exclude": [(("--exclude", "CUDA9"), "--exclude CUDA9: no such device")],
    "prefer": [
        (("--prefer", "CUDA9"), "--prefer CUDA9: no such device"),
        (("--prefer", "CUDA1", "--exclude", "CUDA1"), "it is excluded too"),
    ],
    "goal": [
        (("--goal", "fast"), "--goal fast: write decode, turn:PROMPT,REUSED,GENERATED"),
        (("--goal", "context", "-c", "4096"), "leave out -c"),
    ],
    "config": [(("--config", "/no/such.json"), "/no/such.json: No such file")],
    "machine": [(("--machine", "no-such-machine"), "no machine no-such-machine: ")],
    "profile": [(("--profile", "no-such-profile"), "no profile no-such-profile: ")],
    "llama_server": [
        (("--llama-server", "/no/server"), "no such program"),
        (("--llama-server", "/no/server", "--build", "b11434"), "no such program"),
    ],
    "build": [(("--build", "newest"), "a build is written as b11434")],
    "seconds": [(("--time", t), "a time is more than 0 seconds") for t in ("-1", "0", "nan", "inf")],
}
ELSEWHERE = {
    "model",
    "as_json",
    "explain",
    "rpc",
}  # the argument, the forms of the answer, what the tests with real RPC servers hold


def test_no_option_is_left_out() -> None:
    names = {p.name for p in cli.commands["plan"].params if not getattr(p, "hidden", False)}
    assert names - ELSEWHERE == OBEYED.keys() | REFUSED.keys()


@pytest.fixture(scope="module")
def plain(model: Path) -> Json:
    return planned(model)


@pytest.mark.parametrize("option", OBEYED)
def test_it_is_obeyed(model: Path, plain: Json, files: dict[str, str], option: str) -> None:
    given, look, expected = OBEYED[option]
    plan = planned(model, *named(files, given))
    assert look(plan) == expected
    if option not in ("seconds", "prove", "no_ram"):
        assert look(plain) != expected


@pytest.mark.parametrize(("option", "given", "message"), [(o, g, m) for o, rows in REFUSED.items() for g, m in rows])
def test_it_is_refused(model: Path, files: dict[str, str], option: str, given: tuple[str, ...], message: str) -> None:
    assert message in said(model, *named(files, given)), option


@pytest.mark.parametrize(
    ("old", "today"),
    [("--no-mmap", "-lm none"), ("--mmap", "-lm mmap"), ("--mlock", "-lm mmap+mlock"), ("--direct-io", "-lm dio")],
)
def test_old_words_are_answered_with_todays(model: Path, old: str, today: str) -> None:
    assert said(model, old).endswith(f"write {today}")


@pytest.mark.parametrize(("old", "mode"), [("--no-mmap", "none"), ("--mlock", "mlock"), ("--direct-io", "dio")])
def test_old_words_are_taken_for_builds_that_had_them(model: Path, old: str, mode: str) -> None:
    assert after("-lm")(planned(model, old, "--build", "b10644")) == mode


@pytest.mark.parametrize("given", [("--spec-type", "ngram-mod,mtp"), ("--", "--spec-type", "mtp")])
def test_old_types_of_drafts_are_answered_with_todays(model: Path, given: tuple[str, ...]) -> None:
    sentence = said(model, *given, command="estimate")
    assert sentence.endswith("--spec-type mtp: today it is called draft-mtp")


def test_draft_mtp_is_taken_for_a_model_with_mtp_blocks(headers: Any, tmp_path: Path) -> None:
    plan = planned(headers.write("mtp-glm4moe-moe", tmp_path), "--spec-type", "draft-mtp")
    assert after("--spec-type")(plan) == "draft-mtp"


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        (("--pin", "x=CUDA0"), "-ot"),
        (("--exclude", "CUDA1"), "-dev"),
        (("--prefer", "CUDA1"), "-dev"),
        (("--no-ram",), "takes the flags as they are"),
        (("--goal", "memory"), "takes the flags as they are"),
    ],
)
def test_estimate_refuses_what_only_a_plan_can_do(model: Path, given: tuple[str, ...], instead: str) -> None:
    assert instead in said(model, *given, command="estimate")


def test_a_margin_that_leaves_nothing_is_told(model: Path) -> None:
    plan = planned(model, "--margin", "1GiB,3GiB")
    assert device("CUDA1", "used_bytes")(plan) == 0
    assert [f["message"] for f in plan["findings"] if f["code"] == "margin-takes-all"] == [
        "CUDA1 is not used: of 3,072 MiB free its margin leaves nothing (3,072 MiB)"
    ]
