"""A program that a person named, by a path, a folder that holds it, or a name on PATH."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kvtui.base.findings import UsageError

Said = TypeVar("Said")


def asked(text: str, name: str, where: str, ask: Callable[[Path], Said]) -> Said:
    """What `ask` learns of the program that `text`, an option's or a variable's (`where`), names; `name`: what it is called in a
    folder. UsageError where there is none, or it cannot be started."""
    resolved = shutil.which(os.path.expanduser(text))
    path = Path(resolved) if resolved else Path(text).expanduser()
    if path.is_dir():
        path = path / name
    if not path.exists():
        raise UsageError(f"{where}: no such program: {text!r}")
    try:
        return ask(path.absolute())
    except OSError as error:
        raise UsageError(f"{where}: {text!r} cannot be started: {error.strerror or error}") from error
