"""One at a time, by locks of the kernel's, which lets go of those of a process that dies.

A folder is locked itself where that can be; Windows opens no folder, so a file in it stands for it there."""

import os
import sys
from pathlib import Path

LOCK_FILE = ".kvtui.lock"
_LOCKED_BYTE = 2**30  # beyond any content: on Windows nobody else can read what is locked

if sys.platform == "win32":
    import msvcrt

    def open_folder(folder: Path) -> int:
        """A descriptor to lock."""
        return os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)

    def try_lock(descriptor: int) -> bool:
        """Whether it is ours now; False while somebody else has it. OSError where there are no locks."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def open_folder(folder: Path) -> int:
        """A descriptor to lock."""
        return os.open(folder, os.O_RDONLY)

    def try_lock(descriptor: int) -> bool:
        """Whether it is ours now; False while somebody else has it. OSError where there are no locks."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
