"""GGUF files where people keep them: names and sizes from the folders alone, the architecture from one header."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.files import FileError, read_regular
from kvtui.base.parse import parse_json
from kvtui.header.reader import HeaderError, read_header
from kvtui.header.source import open_regular
from kvtui.header.split_set import split_part

_DEEPEST = 6  # folders below a place: Hugging Face's cache has models--ORG--NAME/snapshots/REVISION/QUANT
_MOST_ENTRIES = 20_000  # a place that turns out to be a whole disk is not walked to its end
_MOST_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Place:
    """A folder where models may lie, and what it is called. `depth`: folders below it that are looked into."""

    name: str
    folder: Path
    depth: int = _DEEPEST
    ollama: bool = False


@dataclass(frozen=True)
class ShelfModel:
    """A file, or a split set by its first part. `n_bytes` of all parts; `missing` parts are counted by their names."""

    name: str
    path: Path
    n_bytes: int
    place: str
    missing: int = 0
    files: int = 1  # parts that are there


def usual_places(env: Mapping[str, str], home: Path, here: Path) -> tuple[Place, ...]:
    """Where llama.cpp (common/common.cpp, fs_get_cache_directory), Hugging Face, LM Studio, Ollama and people put models."""
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    hub = Path(env.get("HF_HUB_CACHE") or Path(env.get("HF_HOME") or cache / "huggingface") / "hub")
    return (
        Place("here", here, depth=1),
        Place("~/models", home / "models"),
        Place("llama.cpp", Path(env.get("LLAMA_CACHE") or cache / "llama.cpp")),
        Place("Hugging Face", hub),
        Place("LM Studio", home / ".lmstudio" / "models"),
        Place("LM Studio", cache / "lm-studio" / "models"),
        Place("Ollama", Path(env.get("OLLAMA_MODELS") or home / ".ollama" / "models"), ollama=True),
    )


def shelf_models(places: tuple[Place, ...]) -> Iterator[ShelfModel]:
    """Each model once, place after place; what cannot be read is left out."""
    seen: set[str] = set()
    for place in places:
        found = _ollama(place) if place.ollama else _folder(place)
        for model in sorted(found, key=lambda m: m.name.lower()):
            real = os.path.realpath(model.path)
            if real not in seen:
                seen.add(real)
                yield model


def architecture(path: Path) -> str:
    """`general.architecture` of one file; what is wrong with it where it cannot be read."""
    try:
        with open_regular(path) as source:
            return str(read_header(source).metadata.get("general.architecture", "unknown"))
    except HeaderError as e:
        return f"unreadable: {str(e).removeprefix(f'{path}: ')}"


def _files(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    """(file, bytes) below `folder`, links followed, at most `depth` folders deep."""
    waiting, left = [(folder, depth)], _MOST_ENTRIES
    while waiting and left > 0:
        at, deep = waiting.pop()
        try:
            entries = list(os.scandir(at))
        except OSError:
            continue
        left -= len(entries)
        for entry in entries:
            try:
                if entry.is_file():
                    yield Path(entry.path), entry.stat().st_size
                elif deep > 0 and not entry.name.startswith(".") and entry.is_dir():
                    waiting.append((Path(entry.path), deep - 1))
            except OSError:
                continue


def _folder(place: Place) -> list[ShelfModel]:
    singles: list[ShelfModel] = []
    sets: dict[tuple[Path, str, int], dict[int, tuple[Path, int]]] = {}
    for path, size in _files(place.folder, place.depth):
        low = path.name.lower()
        if not low.endswith(".gguf") or low.startswith("mmproj"):  # a projector goes beside a model: it is none
            continue
        part = split_part(path.name)
        if part is None:
            singles.append(ShelfModel(path.name, path, size, place.name))
        else:
            key = (path.parent, part.stem, part.count)
            sets.setdefault(key, {})[part.number] = (path, size)
    for (_, stem, count), parts in sets.items():
        first = parts[min(parts)][0]
        total = sum(size for _, size in parts.values())
        lack = max(count - len(parts), 0)
        singles.append(ShelfModel(f"{stem}.gguf", first, total, place.name, lack, len(parts)))
    return singles


def _ollama(place: Place) -> list[ShelfModel]:
    """Ollama keeps models as blobs; manifests/HOST/OWNER/NAME/TAG are JSON files that say which blob is the model."""
    found = []
    manifests = place.folder / "manifests"
    for path, _ in _files(manifests, 4):
        try:
            layers = parse_json(read_regular(path, _MOST_MANIFEST_BYTES).decode())["layers"]
            digest = next(str(x["digest"]) for x in layers if str(x["mediaType"]).endswith("image.model"))
            blob = place.folder / "blobs" / digest.replace(":", "-")
            if blob.parent != place.folder / "blobs" or not blob.is_file():  # a digest is a name, never a way elsewhere
                continue
            found.append(ShelfModel(f"{path.parent.name}:{path.name}", blob, blob.stat().st_size, place.name))
        except (OSError, FileError, ValueError, KeyError, TypeError, StopIteration):
            continue
    return found
