"""Finding llama-server: real files of all sorts in the places where it may be."""

import os
import stat
import sys
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.server.binary.environment import child_environment, config_files
from kvtui.server.binary.find import NAME, find_servers
from kvtui.server.binary.inspect import inspect

HELP = "-ctk,  --cache-type-k TYPE    K\n-ngl,  --n-gpu-layers N       layers\n--port PORT                   port\n"


def program(path: Path, said: str = HELP, version: str = "version: 6123 (abc1234)") -> Path:
    """A program that answers --help and --version, and counts how often it was asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(path) + '.asked'!r}, 'a').write('x')\n"
        f"print({said!r} if '--help' in sys.argv else {version!r})\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No llama-server of the machine that runs the tests."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLAMA_SERVER", raising=False)
    monkeypatch.setattr("kvtui.server.binary.find.SYSTEM", (str(tmp_path / "opt"),))
    monkeypatch.setattr("kvtui.server.binary.find._site_folders", list)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not p.endswith("-packages")])


def test_build_numbers_from_wherever_they_stand(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    said = inspect(program(tmp_path / "a" / NAME), cache)
    assert (said.build, said.build_source) == ("b6123", "version")
    folder = inspect(program(tmp_path / "llama-b7001-bin-linux" / NAME, version="version: 0.1 (build 0, commit x)"), cache)
    assert (folder.build, folder.build_source) == ("b7001", "folder")
    wheel = program(tmp_path / "site-packages" / "some_server" / "bin" / NAME, version="version: 0.1 (build 1, commit x)")
    (tmp_path / "site-packages" / "some_server-0.10434.0.dist-info").mkdir()
    packaged = inspect(wheel, cache)
    assert (packaged.build, packaged.build_source) == ("b10434", "package")
    unknown = inspect(program(tmp_path / "b" / NAME, version="version: 0.1 (build 0, commit x)"), cache)
    assert (unknown.build, unknown.build_source) == ("", "")


def test_libraries_beside_it_tell_the_back_ends(tmp_path: Path) -> None:
    path = program(tmp_path / NAME)
    for name in ("libggml-cuda.so", "libggml-cpu-haswell.so", "libggml-rpc.so.0", "libggml.so", "libggml-base.so"):
        (tmp_path / name).touch()
    assert inspect(path, tmp_path / "cache").backends == ("CPU", "CUDA", "RPC")
    assert child_environment(path, inherited={})["LD_LIBRARY_PATH"] == str(tmp_path)


def test_asked_once_until_a_library_beside_it_changes(tmp_path: Path) -> None:
    path, cache = program(tmp_path / NAME), tmp_path / "cache"
    library = tmp_path / "libllama.so"
    library.write_text("one")
    asked = Path(f"{path}.asked")
    first = inspect(path, cache)
    count = len(asked.read_text())
    assert inspect(path, cache) == first
    assert len(asked.read_text()) == count
    library.write_text("another")
    inspect(path, cache)
    assert len(asked.read_text()) == 2 * count


def test_a_damaged_cache_is_asked_again(tmp_path: Path) -> None:
    path, cache = program(tmp_path / NAME), tmp_path / "cache"
    first = inspect(path, cache)
    for file in (cache / "binaries").iterdir():
        file.write_text('{"key": 1')
    assert inspect(path, cache) == first


def test_ik_llama_is_recognised_and_declined(tmp_path: Path) -> None:
    path = program(tmp_path / NAME, HELP + "-mla,  --mla-use              enable MLA (default: 0)\n")
    found = inspect(path, tmp_path / "cache")
    assert found.is_ik
    assert found.declined is not None
    assert "ik_llama.cpp" in found.declined
    assert "\n" not in found.declined
    with pytest.raises(UsageError, match=r"ik_llama\.cpp"):
        find_servers(path, tmp_path / "cache")


def test_order_of_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = program(tmp_path / "home" / "src" / "llama.cpp" / "build" / "bin" / NAME)
    on_path = program(tmp_path / "bin" / NAME)
    downloaded = program(tmp_path / "opt" / "llama-b7001" / NAME)
    named = program(tmp_path / "named" / "my-server")
    (tmp_path / "opt" / "llama.cpp").mkdir()
    (tmp_path / "opt" / "llama.cpp" / NAME).symlink_to(on_path)  # the same once more
    cache = tmp_path / "cache"
    assert [b.path for b in find_servers(cache=cache)] == [on_path, built, downloaded]
    monkeypatch.setenv("LLAMA_SERVER", str(named))
    assert [b.path for b in find_servers(cache=cache)] == [named, on_path, built, downloaded]
    assert [b.path for b in find_servers(built, cache)] == [built]


def test_nothing_there_is_a_normal_state(tmp_path: Path) -> None:
    assert find_servers(cache=tmp_path / "cache") == ()


def test_the_current_folder_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "models" / NAME)
    program(tmp_path / "models" / "build" / "bin" / NAME)
    monkeypatch.chdir(tmp_path / "models")
    assert find_servers(cache=tmp_path / "cache") == ()


def test_other_programs_of_that_name_are_left_out(tmp_path: Path) -> None:
    program(tmp_path / "bin" / NAME, "usage: something else")
    assert find_servers(cache=tmp_path / "cache") == ()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "no such program"),
        (lambda p: p.mkdir(), "no such program"),
        (lambda p: p.write_text("no program"), "cannot be started: Permission denied"),
        (lambda p: (p.write_text("no program"), p.chmod(stat.S_IRWXU)), "cannot be started: Exec format error"),
        (lambda p: program(p, "usage: ls"), "does not answer --help as llama-server does"),
        (lambda p: program(p, "\x1b]52;c;AAAA\x07\n"), "does not answer --help as llama-server does"),
    ],
)
def test_what_was_asked_for_must_be_one(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "it"
    make(path)  # type: ignore[operator]
    with pytest.raises(UsageError) as error:
        find_servers(path, tmp_path / "cache")
    assert said in str(error.value)
    assert str(error.value).isprintable()


def test_a_program_that_never_stops_talking_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("#!/bin/sh\nexec /usr/bin/yes llama\n")
    path.chmod(0o755)
    with pytest.raises(UsageError, match="does not answer --help"):
        find_servers(path, tmp_path / "cache")


def test_the_child_inherits_no_settings_that_beat_the_plan(tmp_path: Path) -> None:
    inherited = {
        "LLAMA_ARG_OVERRIDE_TENSOR": ".*=CPU",
        "LLAMA_ARG_CTX_SIZE": "1",
        "LLAMA_LOG_FILE": "/x",
        "LLAMA_API_KEY": "secret",
        "CUDA_DEVICE_ORDER": "FASTEST_FIRST",
        "HOME": "/home/x",
        "GGML_VK_VISIBLE_DEVICES": "0,0",
    }
    assert child_environment(tmp_path / "x", {"A": "b"}, inherited) == {
        "HOME": "/home/x",
        "GGML_VK_VISIBLE_DEVICES": "0,0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "GGML_NO_BACKTRACE": "1",
        "A": "b",
    }


def test_config_files_are_listed_with_what_they_set(tmp_path: Path) -> None:
    path = tmp_path / "config" / "llama.cpp" / "config.ini"
    path.parent.mkdir(parents=True)
    path.write_text("ctx-size = 8192\n; a remark\n[gemma]\nn-gpu-layers = 3\n")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    (found,) = [c for c in config_files(env) if c.path == path]
    assert found.settings == (("ctx-size", "8192"), ("n-gpu-layers", "3"))
    path.write_bytes(b"\xff\xfe no ini at all")
    (found,) = [c for c in config_files(env) if c.path == path]
    assert found.settings == () or found.problem is None
    assert os.fspath(path) in (found.problem or os.fspath(path))


@pytest.mark.parametrize("text", ["key\n  goes on\n", "[a]\nkey\n\n  goes on", "[a\n=5", "=v"])
def test_a_config_file_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "llama.cpp" / "config.ini"
    path.parent.mkdir()
    path.write_text(text)
    (found,) = [c for c in config_files({"XDG_CONFIG_HOME": str(tmp_path)}) if c.path == path]
    assert found.problem is not None
    assert "\n" not in found.problem
