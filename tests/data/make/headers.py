"""Cut GGUF files where tensor data would begin: their headers, which is all that a plan needs.

python tests/data/make/headers.py NAME=FILE.gguf ...       into tests/data/headers.tar.xz, in place of those of the same name;
                                                           --archive tests/data/headers-OTHER.tar.xz: into another one
python tests/data/make/headers.py --out OUT.head FILE.gguf a file by itself, as kvtui/data/kimi-k2.head is one

Two runs with the same files give the same bytes."""

import argparse
import io
import json
import lzma
import tarfile
from pathlib import Path

from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes

ARCHIVE = Path(__file__).parents[1] / "headers.tar.xz"
INDEX = "index.json"


def cut(path: Path) -> tuple[bytes, int]:
    """(header, bytes of the whole file)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        whole = file.read(min(size, 1 << 30))
    return whole[: read_header(HeaderBytes(whole, size)).data_offset], size


def read_archive(path: Path) -> tuple[dict[str, bytes], dict[str, int]]:
    """Headers by name, and the full size of each file in bytes."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(path.read_bytes()))) as tar:
        members = {m.name: f.read() for m in tar.getmembers() if (f := tar.extractfile(m)) is not None}
    sizes = {name: entry["size"] for name, entry in json.loads(members[INDEX]).items()}
    return {name: members[f"{name}.head"] for name in sizes}, sizes


def write_archive(heads: dict[str, bytes], sizes: dict[str, int], path: Path) -> None:
    """The archive: index.json, then each NAME.head in the order of names."""
    names = sorted(heads)
    index = {name: {"size": sizes[name], "header": len(heads[name])} for name in names}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in [(INDEX, json.dumps(index).encode()), *((f"{n}.head", heads[n]) for n in names)]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    """As the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write this one header here")
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE")
    given = parser.parse_args()
    if given.out is not None:
        (path,) = given.files
        given.out.write_bytes(cut(Path(path))[0])
        return
    heads, sizes = read_archive(given.archive) if given.archive.exists() else ({}, {})
    for entry in given.files:
        name, _, path = entry.rpartition("=")
        heads[name or Path(path).stem], sizes[name or Path(path).stem] = cut(Path(path))
    write_archive(heads, sizes, given.archive)


if __name__ == "__main__":
    main()
