"""Nowhere to write: an answer is an answer, and what a person wanted kept is told in a sentence."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.server.binary.inspect import ServerBinary, inspect
from kvtui.server.measure.dry_run import dry_run
from kvtui.tasks.options import Options
from kvtui.tasks.profiles import Profile, save_profile

SERVER = """#!{python}
import sys
if "--help" in sys.argv:
    print("--port PORT  port\\n-ctk, --cache-type-k TYPE  type\\n-ngl, --n-gpu-layers N  layers")
    print("-fit, --fit [on|off]  fit\\n-ts, --tensor-split N0,N1  split")
elif "--version" in sys.argv:
    print("version: 11434 (abcdef0)")
else:
    at = "0.00.001.000 I common_memory_breakdown_print: "
    print(at + "| memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |")
    print(at + "|   - Host               |                  10 =    1 +       2 +       4                |")
    print("end", flush=True)
"""
ARGV = ("-ts", "1,1")


@pytest.fixture
def binary(tmp_path: Path) -> ServerBinary:
    path = tmp_path / "llama-server"
    path.write_text(SERVER.replace("{python}", sys.executable))
    path.chmod(0o755)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    return inspect(path, tmp_path / "binaries")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_dry_run_is_remembered_where_there_is_room(binary: ServerBinary, tmp_path: Path) -> None:
    first = dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache")
    assert first.host["Host"].total == 7 << 20
    again = dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache")
    assert (first.cached, again.cached, again.host) == (False, True, first.host)


def test_a_dry_run_on_a_full_disk_is_the_same_answer(binary: ServerBinary, tmp_path: Path) -> None:
    with full_disk():
        found = dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache")
    assert found.host["Host"].total == 7 << 20
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_dry_run_with_something_in_the_way_of_its_cache_is_the_same_answer(binary: ServerBinary, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache").host["Host"].total == 7 << 20


def test_a_damaged_answer_is_asked_for_again(binary: ServerBinary, tmp_path: Path) -> None:
    dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").rglob("*.json")
    for content in ("[" * 100_000, "{}", "[]", '{"devices": 1, "host": {}}', "9" * 5000):
        kept.write_text(content)
        assert not dry_run(binary, tmp_path / "m.gguf", ARGV, cache=tmp_path / "cache").cached


def test_a_profile_on_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with full_disk(), pytest.raises(UsageError, match=r"profiles.json: cannot be written: File too large$"):
        save_profile("mine", Profile(None, Options(ctx_size="4096")))
