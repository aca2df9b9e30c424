"""Where kvtui keeps what it finds out, and how it reads and writes: a file that is no file, is endless or is being
written by another kvtui harms nothing, and a crash leaves the old file or the new one."""

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kvtui.base.findings import UsageError
from kvtui.base.locks import open_folder, try_lock

PRIVATE = 0o700  # mode of every folder of ours
LOCK_SECONDS = 10.0  # a writer takes milliseconds: whoever holds the lock longer has been stopped
_LOCK_POLL_SECONDS = 0.002
_TEMPORARY = re.compile(r"^\..{1,32}\.[a-z0-9_]{8}$", re.DOTALL)  # as `tempfile` names what `replace_locked` asks it for


class FileError(UsageError):
    """A file that is there and cannot be what it should be; the sentence names it."""


def cache_folder() -> Path:
    """What may be deleted at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("kvtui", appauthor=False)


def state_folder() -> Path:
    """Running servers, their logs, measurements."""
    from platformdirs import user_state_path

    return user_state_path("kvtui", appauthor=False)


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """All of a regular file of at most `limit_bytes`. FileError for anything else, before a byte is read; OSError
    where it is not there or may not be read."""
    # O_NONBLOCK: a FIFO without a writer must not hang the program
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise FileError(f"{path}: is {kind}")
        if status.st_size > limit_bytes:
            raise FileError(f"{path}: has {status.st_size:,} bytes; at most {limit_bytes:,} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit_bytes:
        raise FileError(f"{path}: grew past {limit_bytes:,} bytes while it was read")
    return data


def private_folder(folder: Path) -> None:
    """Make `folder`, and what is missing above it, for this user alone, whatever the umask. One of this user's that
    others can read is closed to them."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another kvtui was quicker
            new.mkdir(mode=PRIVATE)
            new.chmod(PRIVATE)
    if not missing and hasattr(os, "getuid"):
        status = folder.stat()
        if status.st_uid == os.getuid() and status.st_mode & 0o077:
            folder.chmod(PRIVATE)


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write beside, fsync, rename, fsync the folder. OSError leaves the old file as it was."""
    private_folder(path.parent)
    with locked(path.parent) as alone:
        replace_locked(path, content, mode, clean=alone)


def replace_locked(path: Path, content: bytes, mode: int = 0o600, *, clean: bool = True) -> None:
    """`write_atomically` for who holds the folder's lock. `clean`: remove what crashed writers left, which nobody
    can be writing now."""
    if clean:
        _remove_left_over(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:32]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Be the only writer in `folder`; the kernel lets go of the lock of who dies. Gives False where the file system has
    no such locks. OSError where the lock isn't to be had."""
    descriptor = open_folder(folder)
    try:
        yield _wait_for_lock(descriptor, folder)
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, folder: Path) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                break
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return True
    except OSError:
        return False
    raise TimeoutError(f"{folder}: another kvtui has been writing there for {LOCK_SECONDS:.0f} s")


def _remove_left_over(folder: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.match(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems refuse it for folders, and Windows to open one
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
