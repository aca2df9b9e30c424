"""Where a header comes from: one file, or a split set (`-00001-of-0000N`) joined into one header."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kvtui.header.reader import Header, HeaderError, Source, read_header

MOST_PARTS = 1024  # the largest sets on the Hub have about 200
_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True)
class _File:
    """A local file read by position. Not mapped: a mapped file that shrinks kills the process with SIGBUS."""

    descriptor: int
    size: int

    def read(self, at: int, least: int, most: int) -> bytes:
        os.lseek(self.descriptor, at, os.SEEK_SET)
        return os.read(self.descriptor, most)  # a regular file gives all there is


@dataclass(frozen=True)
class HeaderBytes:
    """The first bytes of a file of `size` bytes, in memory: a bundled header."""

    data: bytes
    size: int

    def read(self, at: int, least: int, most: int) -> bytes:
        """As Source; what lies past the bundled bytes is not there."""
        return self.data[at : at + most]


def open_header(path: Path) -> Header:
    """Header of `path`, its split set joined. Raises HeaderError, which names the file."""
    return join_split_set(path.name, lambda name: _one(path.with_name(name)))


def join_split_set(name: str, read: Callable[[str], Header]) -> Header:
    """Header of the file `name`, or of all parts of its split set; `read` gives the header of one file by its name."""
    match = _SPLIT.match(name)
    if match is None:
        return read(name)
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count:
        raise HeaderError(f"{name}: there is no part {int(match['number'])} of {count}")
    if count > MOST_PARTS:
        raise HeaderError(f"{name}: a split set of {count} parts; at most {MOST_PARTS} are read")
    parts = [read(f"{match['stem']}-{i + 1:05}-of-{count:05}.gguf") for i in range(count)]
    for i, part in enumerate(parts):
        if part.metadata.get("split.count", count) != count or part.metadata.get("split.no", i) != i:
            raise HeaderError(f"{name}: part {i + 1} says it is part of another split set")
    tensors = tuple(t for part in parts for t in part.tensors)
    if len({t.name for t in tensors}) != len(tensors):
        raise HeaderError(f"{name}: a tensor occurs in two parts of the split set")
    expected = parts[0].metadata.get("split.tensors.count", len(tensors))
    if expected != len(tensors):
        raise HeaderError(f"{name}: the split set says {expected} tensors and holds {len(tensors)}")
    return replace(parts[0], tensors=tensors, file_bytes=sum(p.file_bytes for p in parts))


@contextmanager
def open_regular(path: Path) -> Iterator[Source]:
    """A regular file for reading. Raises HeaderError, which names the file, also for what goes wrong while it is read."""
    try:
        # O_NONBLOCK: a FIFO must not hang the program
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise HeaderError(f"{path}: no such file") from None
    except OSError as e:
        raise HeaderError(f"{path}: {e.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise HeaderError(f"{path}: is a directory, not a GGUF file")
        if not stat.S_ISREG(status.st_mode):
            raise HeaderError(f"{path}: is not a regular file")
        if status.st_size == 0:
            raise HeaderError(f"{path}: the file is empty")
        yield _File(descriptor, status.st_size)
    except HeaderError as e:
        raise HeaderError(str(e) if str(e).startswith(f"{path}: ") else f"{path}: {e}") from None
    except OSError as e:
        raise HeaderError(f"{path}: {e.strerror}") from None
    finally:
        os.close(descriptor)


def _one(path: Path) -> Header:
    with open_regular(path) as source:
        return read_header(source)
