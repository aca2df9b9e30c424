"""Profiles through the command line, in a state folder of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvtui.base.findings import UsageError
from kvtui.cli import cli
from kvtui.tasks.options import Options
from kvtui.tasks.profiles import Profile, profiles, read_profile, save_profile, under_given

Run = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kvtui" / "profiles.json"


@pytest.fixture
def run(state: Path) -> Run:
    del state  # the folder is set
    return lambda *args: CliRunner().invoke(cli, ["profile", *args])


def test_saved_listed_compared_deleted(run: Run) -> None:
    assert run("save", "big", "m.gguf", "-c", "65536", "-ctk", "q8_0", "--pin", "exps=CPU", "--swa-full").exit_code == 0
    assert run("save", "small", "-c", "4096", "-np", "1").exit_code == 0
    assert run("list").output.splitlines() == [
        "big: model m.gguf, ctx-size 65536, cache-type-k q8_0, swa-full True, pin exps=CPU",
        "small: ctx-size 4096, parallel 1",
    ]
    found = json.loads(run("diff", "big", "small", "--json").output)["differences"]
    assert found["ctx-size"] == ["65536", "4096"]
    assert found["parallel"] == [None, "1"]
    assert run("diff", "big", "big").output == "big and big say the same\n"
    assert run("delete", "big").exit_code == 0
    assert list(profiles()) == ["small"]


def test_what_was_given_wins_over_a_profile(state: Path) -> None:
    kept = Options(ctx_size="65536", cache_type_k="q8_0", pin=("a=CPU",), kv_unified=True)
    save_profile("x", Profile("m.gguf", kept))
    assert state.is_file()
    merged = under_given(read_profile("x"), Options(ctx_size="4096", pin=("b=CPU",)))
    assert (merged.ctx_size, merged.cache_type_k, merged.pin, merged.kv_unified) == ("4096", "q8_0", ("b=CPU",), True)


def test_a_profile_is_obeyed(run: Run, headers: Any, tmp_path: Path) -> None:
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    machine = ("--device", "CUDA0=22GiB@900GB/s", "--ram", "16GiB@50GB/s")
    assert run("save", "x", str(model), *machine, "-c", "8192", "-ctk", "q8_0").exit_code == 0
    done = CliRunner().invoke(cli, ["plan", "--profile", "x", "-ctk", "q4_0", "--json"], standalone_mode=False)
    plan = json.loads(done.stdout)
    assert (plan["context"]["requested"], plan["context"]["type_k"]) == (8192, "q4_0")
    assert plan["model"]["path"] == str(model)
    assert [d["free_bytes"] for d in plan["devices"]] == [22 * 2**30]


def test_wrong_names_are_sentences(run: Run) -> None:
    assert isinstance(run("delete", "none").exception, UsageError)
    with pytest.raises(UsageError, match="no profile none: none is saved yet"):
        read_profile("none")
    with pytest.raises(UsageError, match="is no profile's name"):
        save_profile("../x", Profile(None, Options()))
    assert run("list").output == "no profile is saved yet\n"


@pytest.mark.parametrize("options", [{"ctx_size": 5}, {"no_such": "x"}, {"pin": "exps=CPU"}, {"swa_full": "yes"}])
def test_a_damaged_file_is_set_aside(state: Path, options: dict[str, object]) -> None:
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"schema": 1, "profiles": {"x": {"model": None, "options": options}}}))
    assert profiles() == {}
    assert state.with_name("profiles.json.damaged").is_file()
