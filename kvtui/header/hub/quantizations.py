"""Which files of a repository are models, and which of them a quantization's name means: as llama-server's -hf has it.

Sources: common/download.cpp, find_best_model, gguf_filename_is_model, get_gguf_split_info, get_split_files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvtui.header.reader import HeaderError
from kvtui.header.split_set import split_part

USUAL = ("Q4_K_M", "Q8_0")  # find_best_model, `tags`: taken where no quantization is named; then the first model
_BESIDE = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")  # gguf_filename_is_model: files that are none
_TAG = re.compile(r"[A-Za-z0-9_]+")  # get_gguf_split_info, `re_tag`


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, by its path there."""

    path: str
    n_bytes: int


@dataclass(frozen=True)
class Quantization:
    """One model of a repository. `name` chooses it after the colon; `files` are all parts of it, in order."""

    name: str
    files: tuple[HubFile, ...]

    @property
    def n_bytes(self) -> int:
        """Of all parts."""
        return sum(f.n_bytes for f in self.files)


def chosen_file(files: Sequence[HubFile], quant: str) -> HubFile | None:
    """The first part of the model that `quant` means; of the usual one where it is ""; None where there is none."""
    models = [f for f in files if _is_first(f.path)]
    for wanted in (quant,) if quant else USUAL:
        pattern = re.compile(rf"{wanted}[.-]", re.IGNORECASE)  # a name has no sign that a pattern reads but the dot
        for file in models:
            if pattern.search(file.path):
                return file
    return models[0] if models and not quant else None


def quantizations(files: Sequence[HubFile]) -> tuple[Quantization, ...]:
    """A model for each name that means one of its own, in the repository's order. What no name means is left out: -hf
    does not reach it either."""
    found = []
    for file in files:
        if not _is_first(file.path):
            continue
        name = next((n for n in _names(file.path) if chosen_file(files, n) == file), None)
        if name is not None:
            found.append(Quantization(name, _parts(files, file)))
    return tuple(found)


def check_whole(model: Quantization) -> None:
    """Raises HeaderError where parts of a split set are not there."""
    first = split_part(model.files[0].path)
    if first is not None and len(model.files) != first.count:
        raise HeaderError(f"{model.files[0].path}: the repository holds {len(model.files)} of its {first.count} parts")


def _is_first(path: str) -> bool:
    """Whether it is a model: whole, or the first part of one."""
    name = path.rpartition("/")[2]
    if not name.endswith(".gguf") or any(word in name for word in _BESIDE):
        return False
    part = split_part(path)
    return part is None or part.number == 1 or part.count <= 1


def _parts(files: Sequence[HubFile], first: HubFile) -> tuple[HubFile, ...]:
    part = split_part(first.path)
    if part is None:
        return (first,)
    by_path = {f.path: f for f in files}
    return tuple(by_path[path] for path in part.names if path in by_path)


def _names(path: str) -> Iterator[str]:
    """`Q4_K_M`, `UD-Q4_K_M`, `Model-UD-Q4_K_M`: what may mean a file, the shortest first."""
    part = split_part(path)
    stem = part.stem if part else path.removesuffix(".gguf")
    starts = [m.end() for m in re.finditer(r"[-./]", stem)]
    for start in (*reversed(starts), 0):
        name = stem[start:]
        if name and start < len(stem):
            yield name.upper() if start and _TAG.fullmatch(name) else name
