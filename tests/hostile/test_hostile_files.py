"""Files that are none, damaged ones, newer ones, many writers at once, and disks that take nothing."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.fields import Fields
from kvtui.base.files import FileError, private_folder, read_regular, write_atomically
from kvtui.base.findings import KvtuiError, UsageError
from kvtui.base.locks import LOCK_FILE
from kvtui.base.parse import ParseError, parse_json, parse_toml
from kvtui.base.stored import Kept, NewerFileError, set_aside
from kvtui.server.binary.chosen import FILE, remember_choice, remembered_choice
from kvtui.server.measure.measured import Measurement, damaged, measurements, recall, remember
from kvtui.server.process.record import RECORD, LaunchLock, ServerRecord, load, new_folder, save
from kvtui.tasks.config import read_config

COUNT: Kept[int] = Kept(1, lambda fields: fields.whole("count"), lambda count: {"count": count})
GPUS = (("CUDA0", "NVIDIA GeForce RTX 3090"),)
RUN = Measurement("b11434", "llama/x/1", GPUS, ("-c", "4096"), at=1.0, held_bytes={"CUDA0": 5})


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def sparse(path: Path) -> Path:
    path.touch()
    os.truncate(path, 1 << 40)
    return path


@pytest.mark.parametrize("make", [fifo, sparse, lambda p: p.mkdir() or p, lambda p: p.symlink_to("/dev/zero") or p])
def test_what_is_no_file_is_refused_unread(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path / "config.json")
    with pytest.raises(FileError, match=r"config\.json: (is|has)"):
        read_regular(path, 1 << 20)
    with pytest.raises(UsageError, match=r"config\.json: (is|has)"):
        read_config(path)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "NaN", '{"a": 1e999', '"\\', '"' * 99_999, '\\"' * 50_000, "\x00"],
    ids=lambda text: ascii(text[:8]),
)
def test_json_that_is_deep_numeric_or_unfinished_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParseError):
        parse_json(text)
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_config(path)


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a = " + "{b=" * 5000, ".".join("a" * 20_000) + " = 1", '"""' + '"' * 9_999, "a = " + "9" * 5000],
    ids=lambda text: ascii(text[:8]),
)
def test_toml_that_is_deep_or_unfinished_is_one_sentence(text: str) -> None:
    with pytest.raises(ParseError):
        parse_toml(text)


def test_fifty_thousand_config_keys_and_long_ones(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({f"k{i}": 1 for i in range(50_000)}))
    with pytest.raises(UsageError, match="no key k0"):
        read_config(path)
    path.write_text(json.dumps({"x" * 500_000: 1}))
    with pytest.raises(UsageError, match=r"no key x+…"):
        read_config(path)


def spoilt(**changes: Any) -> str:
    return json.dumps({"schema": 1, **asdict(RUN), **changes})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "9" * 5000,
        "[" * 100_000,
        '{"schema": 1}',
        spoilt(at="yesterday"),
        spoilt(at=1e300),
        spoilt(gpus=[[1, 2]]),
        spoilt(gpus=5),
        spoilt(argv="-c"),
        spoilt(held_bytes={"CUDA0": "5"}),
        spoilt(held_bytes={"CUDA0": 2**70}),
        spoilt(proven="yes"),
        spoilt(context=[]),
        spoilt(prompt_tokens=True),
    ],
)
def test_a_damaged_measurement_is_set_aside_and_named(tmp_path: Path, content: str) -> None:
    remember(RUN, tmp_path)
    folder = tmp_path / "measurements"
    (good,) = folder.iterdir()
    bad = folder / "bad.json"
    bad.write_text(content)
    assert [m.held_bytes for m in measurements(tmp_path)] == [{"CUDA0": 5}]
    assert sorted(f.name for f in folder.iterdir()) == sorted([good.name, "bad.json.damaged"])
    (finding,) = damaged(tmp_path)
    assert str(folder / "bad.json.damaged") in finding.message


def test_a_newer_kvtuis_file_is_kept(tmp_path: Path) -> None:
    remember(RUN, tmp_path)
    (path,) = (tmp_path / "measurements").iterdir()
    newer = spoilt(schema=2, held_bytes="in another form")
    path.write_text(newer)
    assert recall(RUN.build, RUN.model, RUN.gpus, RUN.argv, tmp_path) is None
    with pytest.raises(NewerFileError, match="newer kvtui"):
        remember(RUN, tmp_path)
    assert path.read_text() == newer
    assert damaged(tmp_path) == ()


def test_records_and_choices_are_checked_field_by_field(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    record = ServerRecord(folder, 7, "x", "/b", "b11434", "/m", ("/b", "-m", "/m"), "127.0.0.1", 8080, 1.0)
    save(record)
    assert load(folder) == record
    saved = json.loads((folder / RECORD).read_bytes())
    for name, value in (("pid", -1), ("pid", "7"), ("port", 70_000), ("command", "rm"), ("ended", {"at": 1}), ("plan", 5)):
        (folder / RECORD).write_text(json.dumps({**saved, name: value}))
        assert load(folder) is None, name
        (folder / f"{RECORD}.damaged").unlink()
    remember_choice(Path("/opt/llama-server"), tmp_path)
    assert remembered_choice(tmp_path) == Path("/opt/llama-server")
    (tmp_path / FILE).write_text('{"path": 5}')
    assert remembered_choice(tmp_path) is None
    assert (tmp_path / f"{FILE}.damaged").exists()


WINDOWS = """
import fcntl, os, sys, types
def locking(descriptor, how, count):
    try:
        fcntl.lockf(descriptor, how, count, os.lseek(descriptor, 0, os.SEEK_CUR))
    except BlockingIOError as e:
        raise PermissionError(*e.args) from None
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=fcntl.LOCK_EX | fcntl.LOCK_NB)
here, sys.platform = sys.platform, "win32"
import kvtui.base.locks
sys.platform = here
"""
ADD = """
import sys
from pathlib import Path
from kvtui.base.stored import Kept
count = Kept(1, lambda fields: fields.whole("count"), lambda n: {"count": n})
for _ in range(int(sys.argv[2])):
    count.update(Path(sys.argv[1]), lambda before: (before or 0) + 1)
"""


@pytest.mark.parametrize(("system", "processes", "left"), [("", 4, []), (WINDOWS, 2, [LOCK_FILE])], ids=["here", "windows"])
def test_two_hundred_saves_at_once_all_survive(system: str, processes: int, left: list[str], tmp_path: Path) -> None:
    """`windows`: its branch and its lock file, over locks of a byte as this system has them."""
    path = tmp_path / "state" / "count.json"
    command = [sys.executable, "-c", system + ADD, str(path), str(200 // processes)]
    writers = [subprocess.Popen(command) for _ in range(processes)]
    assert [w.wait(timeout=120) for w in writers] == [0] * processes
    assert COUNT.load(path) == 200
    assert sorted(f.name for f in path.parent.iterdir()) == sorted([*left, "count.json"])


def test_one_app_has_a_server_until_it_dies(tmp_path: Path) -> None:
    hold = f"{WINDOWS}\nfrom pathlib import Path\nfrom kvtui.server.process.record import LaunchLock\n" + (
        "lock = LaunchLock(Path(sys.argv[1]))\nprint(lock.take(), flush=True)\nsys.stdin.read()"
    )

    def holder() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    first = holder()
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "True\n"
        assert LaunchLock(tmp_path).holder() == first.pid
        assert holder().communicate()[0] == "False\n"
    finally:
        first.kill()
        first.communicate()
    assert holder().communicate()[0] == "True\n"


CRASH = """
import os, sys
from pathlib import Path
from kvtui.base.files import write_atomically
os.fsync = lambda _: os.kill(os.getpid(), 9)
write_atomically(Path(sys.argv[1]), b"half")
"""


def test_what_a_crashed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    COUNT.save(path, 1)
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", CRASH, str(path)]).returncode == -9
    assert COUNT.load(path) == 1
    assert len(list(tmp_path.iterdir())) == 2  # each took away what the one before had left
    COUNT.save(path, 2)
    assert [f.name for f in tmp_path.iterdir()] == ["count.json"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folders_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = new_folder(tmp_path / "state")
        write_atomically(tmp_path / "cache" / "a" / "b.json", b"{}")
    finally:
        os.umask(before)
    made = [folder, folder.parent, tmp_path / "state", tmp_path / "cache", tmp_path / "cache" / "a"]
    assert [stat.S_IMODE(f.stat().st_mode) for f in made] == [0o700] * 5
    assert stat.S_IMODE((tmp_path / "cache" / "a" / "b.json").stat().st_mode) == 0o600


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "measurements"
    folder.mkdir()
    folder.chmod(0o755)
    private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_room_is_nobodys_trouble_for_a_cache_and_a_sentence_for_a_choice(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    COUNT.save_if_possible(in_the_way / "cache.json", 1)
    with pytest.raises((OSError, KvtuiError)):
        remember_choice(Path("/x"), in_the_way)


def test_nothing_set_aside_is_nothing_said(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "not there", "a file") == ()
    assert Fields({"a": 1}).whole("a") == 1
