"""Machines with a name through the command line, in a state folder of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvtui.base.findings import UsageError
from kvtui.cli import cli

GIB = 2**30
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return lambda *args: CliRunner().invoke(cli, [*map(str, args)], standalone_mode=False)


@pytest.fixture
def model(headers: Any, tmp_path: Path) -> Path:
    found: Path = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    return found


def planned(run: Run, *args: str | Path) -> Any:
    return json.loads(run("plan", *args, "-c", "4096", "-np", "1", "--json").stdout)


def test_saved_listed_deleted(run: Run) -> None:
    assert run("machine", "list").output == "no machine is saved yet\n"
    assert run("machine", "save", "tower", "--device", "2x3090", "--ram", "64GiB@50GB/s").exit_code == 0
    assert run("machine", "list").output == "tower: device 2x3090, ram 64GiB@50GB/s\n"
    listed = json.loads(run("machine", "list", "--json").output)
    assert listed["machines"] == {"tower": {"device": "2x3090", "ram": "64GiB@50GB/s"}}
    assert run("machine", "delete", "tower").exit_code == 0
    assert str(run("machine", "delete", "tower").exception) == "no machine tower: none is saved yet"


def test_it_is_planned_for_and_what_is_given_wins(run: Run, model: Path) -> None:
    run("machine", "save", "tower", "--device", "2x3090", "--ram", "64GiB@50GB/s", "--margin", "2GiB,512MiB")
    plan = planned(run, model, "--machine", "tower")
    assert [(d["name"], d["margin_bytes"]) for d in plan["devices"]] == [("CUDA0", 2 * GIB), ("CUDA1", GIB // 2)]
    assert plan["host"]["free_bytes"] == 64 * GIB
    assert planned(run, model, "--machine", "tower", "--ram", "32GiB")["host"]["free_bytes"] == 32 * GIB


def test_it_wins_over_the_machine_of_a_profile_or_a_config(run: Run, model: Path, tmp_path: Path) -> None:
    run("machine", "save", "small", "--device", "3060", "--ram", "16GiB@50GB/s")
    run("profile", "save", "p", model, "--device", "2x3090", "--ram", "64GiB", "--margin", "2GiB,1GiB", "-ctk", "q8_0")
    plan = planned(run, "--profile", "p", "--machine", "small")
    assert [d["total_bytes"] for d in plan["devices"]] == [12 * GIB]
    assert plan["context"]["type_k"] == "q8_0"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": str(model), "devices": ["2x3090"], "margin": "2GiB,1GiB"}))
    plan = planned(run, "--config", config, "--machine", "small")
    assert [(d["total_bytes"], d["margin_bytes"]) for d in plan["devices"]] == [(12 * GIB, GIB)]


def test_a_profile_keeps_the_machine_itself(run: Run, model: Path) -> None:
    run("machine", "save", "small", "--device", "3060", "--ram", "16GiB@50GB/s")
    run("profile", "save", "p", model, "--machine", "small")
    run("machine", "delete", "small")
    assert [d["total_bytes"] for d in planned(run, "--profile", "p")["devices"]] == [12 * GIB]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "say what it has"),
        (("--device", "3900"), "the nearest is RTX 3090"),
        (("--device", "2x3090", "--margin", "1GiB,1GiB,1GiB"), "3 margins for 2 devices"),
        (("--ram", "much"), "'much' is not a size"),
    ],
)
def test_what_is_no_machine_is_not_saved(run: Run, given: tuple[str, ...], message: str) -> None:
    failed = run("machine", "save", "x", *given).exception
    assert isinstance(failed, UsageError)
    assert message in str(failed)
    assert run("machine", "list").output == "no machine is saved yet\n"


def test_what_the_desktops_card_keeps_is_said(run: Run, model: Path, tmp_path: Path) -> None:
    given = (model, "--device", "CUDA0=8GiB,display", "--device", "CUDA1=8GiB", "--ram", "16GiB")
    said = {f["code"]: f["message"] for f in planned(run, *given, "--display-margin", "2GiB")["findings"]}
    assert said["display-margin"].startswith("CUDA0 draws the desktop: 2,048 MiB stay free")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"display_margin": "1536MiB"}))
    plan = planned(run, *given, "--config", config)
    assert [d["margin_bytes"] for d in plan["devices"]] == [3 * GIB // 2, GIB]


def test_what_is_simulated_is_marked_in_text_and_json(run: Run, model: Path) -> None:
    given = (model, "--device", "3090", "-c", "4096", "-np", "1")
    plan = planned(run, model, "--device", "3090")
    assert [d["simulated"] for d in plan["devices"]] == [True]
    assert not plan["host"]["simulated"]
    assert "all in MiB; simulated: CUDA0\n" in run("plan", *given).stdout
    assert "all in MiB; simulated: RAM, CUDA0\n" in run("plan", *given, "--ram", "64GiB").stdout
