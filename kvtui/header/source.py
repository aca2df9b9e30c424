"""Where a header comes from: one file, or a split set (`-00001-of-0000N`) joined into one header."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kvtui.header.identity import joined, sampled
from kvtui.header.reader import Header, HeaderError, Source, read_header
from kvtui.header.split_set import split_part

MOST_PARTS = 1024  # the largest sets on the Hub have about 200


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
    """Header of the file `name`, joined with the other parts of its split set; `read` gives the header of one file by its
    name. As src/llama-model-loader.cpp, llama_model_loader: the header says whether there are parts, not the name."""
    split = split_part(name)
    if split is not None and split.count > MOST_PARTS:  # nothing is asked for what would be refused
        raise HeaderError(f"{name}: a split set of {split.count} parts; at most {MOST_PARTS} are read")
    first = read(name)
    count = _key(first, name, "split.count", "u16", 0)
    if count <= 1:
        return first
    if split is None or split.count != count:
        raise HeaderError(f"{name}: the file says it is one of {count} parts, and is not named STEM-00001-of-{count:05}.gguf")
    if (number := _key(first, name, "split.no", "u16")) != 0 or split.number != 1:
        raise HeaderError(f"{name}: this is part {number + 1} of another split set, or not its first; name {split.names[0]}")
    parts = [first, *(read(part) for part in split.names[1:])]
    for i, (part, part_name) in enumerate(zip(parts, split.names, strict=True)):
        if _key(part, part_name, "split.no", "u16") != i:
            raise HeaderError(f"{name}: part {i + 1} says it is part of another split set")
    tensors = tuple(t for part in parts for t in part.tensors)
    if len({t.name for t in tensors}) != len(tensors):
        raise HeaderError(f"{name}: a tensor occurs in two parts of the split set")
    expected = _key(first, name, "split.tensors.count", "i32")
    if expected != len(tensors):
        raise HeaderError(f"{name}: the split set says {expected} tensors and holds {len(tensors)}")
    size, sample = sum(p.file_bytes for p in parts), joined(p.sample for p in parts)
    return replace(first, tensors=tensors, file_bytes=size, sample=sample)


def _key(header: Header, name: str, key: str, kind: str, default: int | None = None) -> int:
    value = header.metadata.get(key, default)
    if value is None:
        raise HeaderError(f"{name}: the key {key} is missing")
    if header.types.get(key, kind) != kind or not isinstance(value, int):
        raise HeaderError(f"{name}: the key {key} is of type {header.types.get(key)}, not {kind}")
    return value


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
        header = read_header(source)
        return replace(header, sample=sampled(source, header))
