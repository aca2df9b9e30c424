"""A log that another program writes, within bounds: cut while it writes, with the part before it and its beginning kept.

The writer has it open with O_APPEND and so goes on at the start of the emptied file. A reader that knows the file before,
by its inode, misses nothing of what was moved there.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LIMIT_BYTES = 32 * 2**20  # cut in the next pause of its writer,
HARD_LIMIT_BYTES = 2 * LIMIT_BYTES  # or at once
FIRST_LIMIT_BYTES = 4 * 2**20  # the load of a model of a thousand tensors takes 0.3 MiB at -lv 4
_PIECE_BYTES = 2**20


def before(path: Path) -> Path:
    """What the log was until it was cut last."""
    return path.with_name(path.name + ".1")


def beginning(path: Path) -> Path:
    """The file that holds the beginning of the log: a copy, once it was cut."""
    kept = _kept_beginning(path)
    return kept if kept.exists() else path


def mark_of(path: Path) -> int | None:
    """Tells one cut from the next; None before the first."""
    try:
        return before(path).stat().st_ino
    except OSError:
        return None


def cut(path: Path) -> None:
    """Move all of it to the file before. Lines written between the last read and the cut, two system calls apart, are
    lost. OSError: no room for the copy."""
    with path.open("r+b", buffering=0) as log:
        if not _kept_beginning(path).exists():
            _copy(log, _kept_beginning(path), FIRST_LIMIT_BYTES).close()
            log.seek(0)
        half_done = path.with_name(path.name + ".new")
        with contextlib.closing(_copy(log, half_done)) as copy:
            os.replace(half_done, before(path))
            while piece := log.read(_PIECE_BYTES):
                copy.write(piece)
            log.truncate(0)


def _kept_beginning(path: Path) -> Path:
    return path.with_name(path.name + ".first")


def _copy(log: BinaryIO, to: Path, limit_bytes: int | None = None) -> BinaryIO:
    """Copy from where it stands to its end, or so much; the copy is still open."""
    copy = os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)
    left = limit_bytes
    try:
        while piece := log.read(_PIECE_BYTES if left is None else min(left, _PIECE_BYTES)):
            copy.write(piece)
            left = None if left is None else left - len(piece)
    except OSError:
        copy.close()
        to.unlink(missing_ok=True)
        raise
    return copy


@dataclass
class Bounded:
    """A log that is looked at from time to time, and cut when it is too large and its writer pauses."""

    path: Path
    limit_bytes: int = LIMIT_BYTES
    hard_limit_bytes: int = HARD_LIMIT_BYTES
    _size_bytes: int = -1

    def look(self) -> bool:
        """Whether it was cut. A disk that is full leaves it as it is."""
        try:
            size = self.path.stat().st_size
            pauses, self._size_bytes = size == self._size_bytes, size
            if size < self.limit_bytes or not (pauses or size >= self.hard_limit_bytes):
                return False
            cut(self.path)
        except OSError:
            return False
        self._size_bytes = -1
        return True
