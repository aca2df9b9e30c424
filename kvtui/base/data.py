"""The files that come with the package."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "data"


def data_file(name: str) -> Path:
    """A file of kvtui/data."""
    return _FOLDER / name
