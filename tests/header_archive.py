"""Headers of real models, packed (tests/data/README.md)."""

import json
import lzma
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from kvtui.header.reader import Header, read_header
from kvtui.header.source import HeaderBytes

DATA = Path(__file__).parent / "data"


class HeaderArchive(Mapping[str, Header]):
    """The headers of tests/data/headers.tar.xz by name, each read when it is asked for the first time."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(fileobj=BytesIO(lzma.decompress(path.read_bytes())))  # noqa: SIM115 # held as long as the archive
        self._index: dict[str, dict[str, int]] = json.loads(self._file("index.json"))
        self._read: dict[str, Header] = {}

    def _file(self, name: str) -> bytes:
        file = self._tar.extractfile(name)
        assert file is not None
        return file.read()

    def __getitem__(self, name: str) -> Header:
        if name not in self._read:
            self._read[name] = read_header(HeaderBytes(self._file(f"{name}.head"), self._index[name]["size"]))
        return self._read[name]

    def __iter__(self) -> Any:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def head(self, name: str) -> bytes:
        """The bytes before the tensor data."""
        return self._file(f"{name}.head")

    def write(self, name: str, folder: Path) -> Path:
        """A sparse GGUF file of the real size: a real llama-server dry-runs it."""
        path = folder / f"{name}.gguf"
        path.write_bytes(self._file(f"{name}.head"))
        with path.open("r+b") as file:
            file.truncate(self._index[name]["size"])
        return path
