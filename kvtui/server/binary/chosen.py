"""The llama-server a person chose among those found, remembered."""

import json
from pathlib import Path

from kvtui.base.files import state_folder, write_atomically

FILE = "llama-server.json"


def remember_choice(path: Path, state: Path | None = None) -> None:
    """From now on this one comes first. OSError if it cannot be written."""
    write_atomically((state or state_folder()) / FILE, json.dumps({"path": str(path)}).encode())


def remembered_choice(state: Path | None = None) -> Path | None:
    """The one that was chosen; `None` if none was, or what was written is damaged."""
    try:
        return Path(str(json.loads(((state or state_folder()) / FILE).read_bytes())["path"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
