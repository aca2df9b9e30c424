"""A log that is cut while it is written and read."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.log.bounds import FIRST_LIMIT_BYTES, LIMIT_BYTES, Bounded, before, beginning, cut
from kvtui.server.log.follow import LogTail, first_lines
from kvtui.server.process.record import bound_logs
from kvtui.server.process.start import ServerProcess

LINE_BYTES = 100


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def writer(log: Path) -> Iterator[int]:
    """As a server has it open: at the end, whatever becomes of the file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield descriptor
    os.close(descriptor)


def lines(first: int, count: int) -> bytes:
    return b"".join(b"%*d\n" % (LINE_BYTES - 1, n) for n in range(first, first + count))


def numbers(read: tuple[object, ...]) -> list[int]:
    return [int(line.text) for line in read]  # type: ignore[attr-defined]


def test_two_readers_miss_nothing_and_read_nothing_twice(log: Path, writer: int) -> None:
    quick, slow = LogTail(log), LogTail(log)  # one reads before each cut, one only after it
    heard: list[int] = []
    told: list[int] = []
    for turn in range(20):
        os.write(writer, lines(turn * 100, 99) + b"%50d" % (turn * 100 + 99))  # and half of a line
        heard += numbers(quick.read())
        cut(log)
        os.write(writer, b"\n")
        heard += numbers(quick.read()) + numbers(quick.read())
        told += numbers(slow.read()) + numbers(slow.read())
    assert heard == told == list(range(2000))
    assert quick.backlog_bytes == 0


def test_it_is_cut_in_a_pause_or_where_it_cannot_wait(log: Path, writer: int) -> None:
    bounds = Bounded(log, limit_bytes=1000, hard_limit_bytes=2000)
    os.write(writer, lines(0, 9))
    assert not bounds.look()
    assert not bounds.look()  # small, and it pauses
    os.write(writer, lines(9, 3))
    assert not bounds.look()  # large, and it writes
    assert bounds.look()
    assert (log.stat().st_size, before(log).read_bytes()) == (0, lines(0, 12))
    os.write(writer, lines(12, 20))
    assert bounds.look()
    assert before(log).read_bytes() == lines(12, 20)


def test_the_load_is_told_after_any_cut(log: Path, writer: int) -> None:
    os.write(writer, b"llama_context: n_ctx = 4096\n" + lines(0, FIRST_LIMIT_BYTES // LINE_BYTES))
    cut(log)
    os.write(writer, lines(0, 3))
    cut(log)
    assert next(first_lines(log)) == "llama_context: n_ctx = 4096"
    assert beginning(log).stat().st_size == FIRST_LIMIT_BYTES
    assert all(path.stat().st_mode & 0o077 == 0 for path in log.parent.iterdir())


SERVER = f"""\
#!{sys.executable}
import os, sys, time
for n in range({LIMIT_BYTES // 2**20 + 2}):
    os.write(1, (b"x" * 1023 + b"\\n") * 1024)
os.write(1, b"the last word\\n")
time.sleep(60)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    """One that has said more than is kept."""
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    path = tmp_path / "llama-server"
    path.write_text(SERVER)
    path.chmod(0o755)
    binary = ServerBinary(path, "b11434", "version", "", ("CPU",), ())
    running = ServerProcess.launch(binary, tmp_path / "m.gguf", (), 18080, state=tmp_path / "state")
    deadline = time.monotonic() + 30
    while running.record.log.stat().st_size <= LIMIT_BYTES + 2**20:
        assert time.monotonic() < deadline
    yield running
    running.stop()
    running.leave()


def test_an_app_that_looks_on_cuts_it(server: ServerProcess) -> None:
    deadline = time.monotonic() + 30
    said: list[str] = []
    while "the last word" not in said or server.record.log.stat().st_size >= LIMIT_BYTES:
        said += [line.text for line in server.read_log()]
        assert time.monotonic() < deadline
    assert before(server.record.log).stat().st_size > LIMIT_BYTES


def test_the_next_launch_cuts_what_nobody_looks_after(server: ServerProcess, tmp_path: Path) -> None:
    size = server.record.log.stat().st_size
    bound_logs(tmp_path / "state")  # this app does
    assert server.record.log.stat().st_size >= size
    server.leave()
    bound_logs(tmp_path / "state")
    assert server.record.log.stat().st_size < LIMIT_BYTES
    assert before(server.record.log).stat().st_size >= size
