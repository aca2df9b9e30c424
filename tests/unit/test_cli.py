"""The command line as a person or a script uses it: real processes, real files."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

MODEL_BYTES = 666_071_228_960
DEVICES = ("--device", "CUDA0=23GiB/24GiB@936GB/s", "--device", "CUDA1=15GiB/16GiB@448GB/s", "--ram", "700GiB@300GB/s")


@pytest.fixture(scope="module")
def kimi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled header as a sparse file of the model's size."""
    path = tmp_path_factory.mktemp("models") / "kimi; rm -rf ~.gguf"
    path.write_bytes(files("kvtui.data").joinpath("kimi-k2.head").read_bytes())
    os.truncate(path, MODEL_BYTES)
    return path


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kvtui", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def answer(*args: str | Path) -> tuple[int, dict[str, Any]]:
    done = run(*args)
    return done.returncode, json.loads(done.stdout)


def test_estimate_counts_like_the_guides_model(kimi: Path) -> None:
    code, value = answer(
        "estimate", kimi, "--device", "RPC0=700GiB", "--ram", "64GiB", "--json", "--", "-c", "132000", "-np", "1"
    )
    assert code == 0
    assert value["fits"]
    assert value["devices"][0]["cache_bytes"] == 61 * 132096 * 576 * 2
    assert value["context"] == {
        "requested": 132000, "cells": 132096, "slots": 1, "per_slot": 132096, "type_k": "f16", "type_v": "f16",
    }  # fmt: skip
    assert value["layer_devices"] == ["RPC0"] * 62


def test_plan_prints_the_contracts_fields(kimi: Path) -> None:
    code, value = answer("plan", kimi, *DEVICES, "-c", "32768", "-np", "1", "--time", "1", "--json")
    assert code == 0
    assert value["schema"] == 1
    assert {"build", "model", "context", "devices", "host", "layer_devices", "fits", "speed", "optimality", "argv", "env",
            "timings", "findings"} <= value.keys()  # fmt: skip
    assert all(d["used_bytes"] <= d["free_bytes"] - d["margin_bytes"] for d in value["devices"])
    assert value["argv"][:2] == ["--fit", "off"]
    assert value["env"] == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_plain_plan_quotes_the_model(kimi: Path) -> None:
    done = run("plan", kimi, *DEVICES, "-c", "8192", "-np", "1", "--time", "1")
    assert f"llama-server -m '{kimi}'" in done.stdout


def test_refused_types_exit_1_with_the_servers_reason(kimi: Path) -> None:
    code, value = answer("plan", kimi, *DEVICES, "-c", "8192", "-ctk", "q8_0", "-ctv", "q4_0", "--time", "1", "--json")
    assert code == 1
    assert not value["fits"]
    assert value["findings"][0]["message"] == "model does not support different K (q8_0) and V (q4_0) cache types"


def test_table_as_markdown(kimi: Path) -> None:
    done = run("table", kimi, *DEVICES, "-c", "8192", "-np", "1", "--markdown")
    assert done.stdout.splitlines()[0].startswith("| K | V | cache GiB |")
    assert "| q8_0 | q8_0 |" in done.stdout


@pytest.mark.parametrize("goal", ["decode", "context", "memory"])
def test_one_pair_is_recommended_for_the_goal_that_is_asked(kimi: Path, goal: str) -> None:
    code, value = answer("table", kimi, *DEVICES, "-c", "8192", "-np", "1", "--json", "--goal", goal)
    assert code == 0
    assert value["goal"] == goal
    taken = [r for r in value["rows"] if r["recommended"]]
    assert len(taken) == 1
    assert goal in taken[0]["recommended_for"]
    assert value["advice"].startswith(f"{taken[0]['type_k']}/{taken[0]['type_v']}: ")


def test_table_says_what_to_take(kimi: Path) -> None:
    code, value = answer("table", kimi, *DEVICES, "-c", "8192", "-np", "1", "--json", "--sort", "cache_bytes")
    assert code == 0
    assert value["advice"].endswith(".")
    sizes = [row["cache_bytes"] for row in value["rows"]]
    assert sizes == sorted(sizes)
    assert sum(row["recommended"] for row in value["rows"]) == 1
    assert {"dominated_by", "fits", "tokens_per_second_empty"} <= value["rows"][0].keys()


def test_a_configs_model_is_planned_and_estimated(kimi: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": str(kimi), "kv_cache": None, "context_size": 8192}))
    code, value = answer("estimate", "--config", config, *DEVICES, "--json", "--", "-c", "4096", "-np", "1")
    assert value["model"]["path"] == str(kimi)
    assert value["context"]["requested"] == 4096
    code, value = answer("plan", "--config", config, *DEVICES, "-np", "1", "--time", "1", "--json")
    assert code == 0
    assert value["configuration"]["context"] == 8192


def test_devices_prints_json() -> None:
    code, value = answer("devices", "--json")
    assert code == 0
    assert value["ram"]["total_bytes"] > 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("plan", "/no/such.gguf"), "/no/such.gguf: no such file"),
        (("plan",), "MODEL is missing"),
        (("estimate", "--", "-c", "4096"), "MODEL is missing"),
        (("table", "MODEL", "--sort", "speeed"), "speeed: no such column"),
        (("table", "MODEL", "--matrix", "runs", "--json"), "--matrix is a picture"),
        (("plan", "--profile", "x", "--config", "y"), "give one of them"),
        (("plan", "MODEL", "-ctk", "q9"), "no such cache type"),
        (("plan", "MODEL", "-c", "-5"), "a context is between 0"),
        (("plan", "MODEL", "-c", "many"), "not a number of tokens"),
        (("plan", "MODEL", "--device", "CUDA0"), "write it as NAME=FREE"),
        (("plan", "MODEL", "--pin", "exps"), "REGEX=DEVICE"),
        (("plan", "MODEL", "--pin", "exps=CUDA7"), "there is no device CUDA7"),
        (("plan", "MODEL", "--no-such-flag"), "No such option"),
        (("estimate", "MODEL", "--", "--no-such-flag"), "llama-server has no such flag"),
        (("estimate", "MODEL", "--", "-ctk", "Q8_0"), "no such cache type"),
        (("estimate", "MODEL", "--", "-ot", "exps=CUDA9"), "there is no buffer CUDA9"),
        (("estimate", "MODEL", "--", "-ot", "(=CPU"), "not a regular expression"),
        (("verify", "MODEL", "--llama-server", "/no/server"), "/no/server"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(kimi: Path, args: tuple[str, ...], message: str) -> None:
    done = run(*(kimi if a == "MODEL" else a for a in args))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_nothing_below_the_screen_imports_textual() -> None:
    code = (
        "import sys, kvtui.cli.commands, kvtui.tasks.demo, kvtui.placement.plan, kvtui.placement.table, kvtui.memory.described, "
        "kvtui.hardware.probe, kvtui.server.process.start, kvtui.server.measure.dry_run, kvtui.header.remote; "
        "[*kvtui.cli.commands.cli.commands.values()]; sys.exit(any(m.split('.')[0] in ('textual', 'rich') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_click_group_is_importable_from_the_package() -> None:
    from kvtui.cli import cli

    assert {"plan", "table", "estimate", "verify", "devices", "serve", "demo"} <= set(cli.commands)
