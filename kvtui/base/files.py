"""Where kvtui keeps what it finds out, and how it writes so that a crash leaves the old file or the new one."""

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """What may be deleted at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("kvtui", appauthor=False)


def state_folder() -> Path:
    """Running servers, their logs, measurements."""
    from platformdirs import user_state_path

    return user_state_path("kvtui", appauthor=False)


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write beside, fsync, rename, fsync the folder. OSError leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:32]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems refuse it for folders
    finally:
        os.close(descriptor)
