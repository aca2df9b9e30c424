"""llama-server's log: safe lines with a level, followed in a file without ever blocking or growing."""

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvtui.base.parse import parse_json
from kvtui.base.secrets import without
from kvtui.base.text import printable
from kvtui.server.log.bounds import FIRST_LIMIT_BYTES, before, beginning, mark_of
from kvtui.server.log.lines import Level, LogLine

# common/log.cpp, common_log_entry::print: "M.SS.mmm.uuu L text"; both parts are optional.
_PREFIX = re.compile(r"(?:\d+\.\d\d\.\d{3}\.\d{3} )?([EWID]) ")
_LETTERS: dict[str, Level] = {"E": "error", "W": "warning", "I": "info", "D": "debug"}
_JSON_LEVELS: dict[str, Level] = {"error": "error", "warn": "warning", "info": "info", "debug": "debug"}
# What does not go through llama.cpp's log: aborts, assertions, back ends' own words, the argument parser.
_RAW_ERROR = re.compile(
    r"^error[: ]|GGML_ASSERT\(|CUDA error|terminate called|what\(\):|Failed to connect|: Remote RPC server|"
    r"Segmentation fault|^[^ ]+\.(?:cpp|cu|c|m):\d+: "
)

LINE_LIMIT = 2000  # characters of a line that are kept
LINE_LIMIT_BYTES = 4 * LINE_LIMIT  # UTF-8 takes four bytes a character at most (RFC 3629)
RING_LINES = 20_000
READ_LIMIT_BYTES = 2**18  # at most this much a call,
READ_LIMIT_LINES = 4000  # and at most so many lines: some 50 ms of work
FINISH_ROUNDS = 64  # reads of what an ended writer left, before the rest is jumped over too
BACKLOG_LIMIT_BYTES = 8 * 2**20  # what waits beyond this is jumped over, so that the newest is shown


def level_of(text: str) -> Level:
    """Level by the line's own letter, or by what it says where it has none."""
    found = _PREFIX.match(text)
    if found:
        return _LETTERS[found[1]]
    return "error" if _RAW_ERROR.search(text) else "info"


def parse_line(raw: bytes, number: int = 0, secrets: Sequence[str] = ()) -> LogLine:
    """A line as it lies in the file; `secrets` are blotted out."""
    text = raw[:LINE_LIMIT_BYTES].decode("utf-8", "replace").rstrip("\r\n")
    level: Level | None = None
    if text.startswith('{"type":"log"'):  # --log-jsonl
        level, text = _unwrapped(text)
    if secrets:  # one that an escape sequence stands in is whole only then
        text = without(printable(text), secrets)
    text = printable(text, LINE_LIMIT)
    return LogLine(number, level or level_of(text), text)


def _unwrapped(text: str) -> tuple[Level | None, str]:
    """Level and words of a line of --log-jsonl (common/log.cpp, common_log_entry::print)."""
    try:
        entry = parse_json(text)
        return _JSON_LEVELS.get(entry["level"]), str(entry["msg"]).rstrip("\n")
    except (ValueError, KeyError, TypeError):
        return None, text


def first_lines(path: Path, limit_bytes: int = FIRST_LIMIT_BYTES) -> Iterator[str]:
    """Printable lines of a log's beginning, where the load is told, one by one; none if it cannot be read."""
    try:
        with beginning(path).open("rb") as file:
            while limit_bytes > 0 and (raw := file.readline(limit_bytes)):
                limit_bytes -= len(raw)
                yield parse_line(raw).text
    except OSError:
        return


@dataclass
class LogTail:
    """Follows a log file. `read()` returns what is new, a bounded piece of it, and keeps the last lines in
    `lines`. A line of any length and a log of any speed stay within fixed memory and time. `skipped_bytes` counts
    what was jumped over. Where the log is cut meanwhile, the rest is read from the file before."""

    path: Path
    secrets: tuple[str, ...] = ()
    ring_lines: int = RING_LINES
    offset: int = 0
    lines_read: int = 0
    skipped_bytes: int = 0
    lines: deque[LogLine] = field(init=False)
    _partial: bytes = field(default=b"", init=False, repr=False)
    _jumped: bool = field(default=False, init=False, repr=False)  # within a line whose beginning was not read
    _mark: int | None = field(init=False, repr=False)  # of the last cut that was heard of

    def __post_init__(self) -> None:
        """The ring has its size from the start."""
        self.lines = deque(maxlen=self.ring_lines)
        self._mark = mark_of(self.path)

    @property
    def backlog_bytes(self) -> int:
        """What is in the file and not read yet."""
        if mark_of(self.path) in (self._mark, None):
            return max(0, _size(self.path) - self.offset)
        return max(0, _size(before(self.path)) - self.offset) + _size(self.path)

    def read(self) -> tuple[LogLine, ...]:
        """New whole lines since the last call; () if there are none or the file is not there yet."""
        return self._read(BACKLOG_LIMIT_BYTES)

    def finish(self) -> tuple[LogLine, ...]:
        """What is left once the writer has ended: unread lines and a last one without its end."""
        new: deque[LogLine] = deque(maxlen=self.ring_lines)
        rounds = 0
        while self.backlog_bytes:
            before = self.offset
            new.extend(self._read(BACKLOG_LIMIT_BYTES if rounds < FINISH_ROUNDS else READ_LIMIT_BYTES))
            rounds += 1
            if self.offset == before:
                break  # it cannot be read any more
        if self._partial:
            last = self._line(self._partial)
            self._partial = b""
            self.lines.append(last)
            new.append(last)
        return tuple(new)

    def _read(self, backlog_limit: int) -> tuple[LogLine, ...]:
        mark = mark_of(self.path)
        if mark in (self._mark, None):
            return self._read_file(self.path, backlog_limit)
        old = before(self.path)
        new = self._read_file(old, backlog_limit)
        if self.offset >= _size(old) > _size(self.path):  # else it is being cut this very moment
            self._mark, self.offset = mark, 0
        return new

    def _read_file(self, path: Path, backlog_limit: int) -> tuple[LogLine, ...]:
        try:
            with path.open("rb", buffering=0) as file:
                new = self._catch_up(os.fstat(file.fileno()).st_size, backlog_limit)
                file.seek(self.offset)
                data = file.read(READ_LIMIT_BYTES)
        except OSError:
            return ()
        if data.count(b"\n") > READ_LIMIT_LINES:
            data = data[: _position(data, READ_LIMIT_LINES)]
        self.offset += len(data)
        new += self._take(data)
        self.lines.extend(new)
        return tuple(new)

    def _catch_up(self, size: int, backlog_limit: int) -> list[LogLine]:
        if size < self.offset:  # the file was cut or replaced
            self.offset, self._partial, self._jumped = 0, b"", False
        backlog = size - self.offset
        if backlog <= backlog_limit:
            return []
        jump = backlog - READ_LIMIT_BYTES
        self.offset += jump
        self.skipped_bytes += jump
        self._partial, self._jumped = b"", True
        remark = f"... {jump / 2**20:.1f} MiB of log not shown; all of it is in {printable(str(self.path), 500)}"
        return [LogLine(0, "warning", remark)]

    def _take(self, data: bytes) -> list[LogLine]:
        *whole, rest = data.split(b"\n")
        new: list[LogLine] = []
        for piece in whole:
            if self._jumped:
                self._jumped = False
            else:
                new.append(self._line(self._partial + piece[:LINE_LIMIT_BYTES]))
            self._partial = b""
        if not self._jumped:
            self._partial = (self._partial + rest[:LINE_LIMIT_BYTES])[:LINE_LIMIT_BYTES]
        return new

    def _line(self, raw: bytes) -> LogLine:
        self.lines_read += 1
        return parse_line(raw, self.lines_read, self.secrets)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _position(data: bytes, lines: int) -> int:
    """Where so many lines end."""
    end = 0
    for _ in range(lines):
        end = data.index(b"\n", end) + 1
    return end
