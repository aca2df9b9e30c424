"""The llama-server a person chose among those found, remembered."""

from pathlib import Path

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.stored import Kept

FILE = "llama-server.json"


def _path(fields: Fields) -> Path:
    path = fields.text("path")
    if not path or "\0" in path:
        raise ValueError("path is no file's name")
    return Path(path)


_CHOICE = Kept(schema=1, read=_path, write=lambda path: {"path": str(path)}, limit_bytes=1 << 16)


def remember_choice(path: Path, state: Path | None = None) -> None:
    """From now on this one comes first. OSError or KvtuiError if it cannot be written."""
    _CHOICE.save((state or state_folder()) / FILE, path)


def remembered_choice(state: Path | None = None) -> Path | None:
    """The one that was chosen; `None` if none was, or what was written is damaged."""
    return _CHOICE.load((state or state_folder()) / FILE)
