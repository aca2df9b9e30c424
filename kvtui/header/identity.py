"""Which model a file holds, by its content: the same for one that was moved or renamed, another for one that changed."""

import contextlib
import hashlib
from collections.abc import Iterable

from kvtui.header.reader import Header, Source

# Of tensor data: training and quantizing change it everywhere, so a few places tell one file from another.
_PLACES, _PLACE_BYTES = 8, 4096
_DIGITS = 32  # 128 bits


def sampled(source: Source, header: Header) -> str:
    """A digest of a few places of the tensor data, the last bytes among them; "" if they can't be read."""
    room = max(source.size - header.data_offset - _PLACE_BYTES, 0)
    found = hashlib.sha256()
    with contextlib.suppress(OSError):
        for i in range(_PLACES):
            at = header.data_offset + i * room // (_PLACES - 1)
            found.update(source.read(at, 0, _PLACE_BYTES))
        return found.hexdigest()[:_DIGITS]
    return ""


def joined(samples: Iterable[str]) -> str:
    """That of all parts of a split set; "" if one is unknown."""
    each = tuple(samples)
    return hashlib.sha256("".join(each).encode()).hexdigest()[:_DIGITS] if all(each) else ""


def model_identity(header: Header) -> str:
    """HEADER/SAMPLE: digests of all the header says with the file's size, and of the sample. A remote file has no sample."""
    said = hashlib.sha256()
    for part in ((header.data_offset, header.file_bytes), *header.metadata.items(), *header.tensors):
        said.update(repr(part).encode("utf-8", "replace"))
    return f"{said.hexdigest()[:_DIGITS]}/{header.sample}"


def same_model(one: str, other: str) -> bool:
    """Whether two `model_identity` are of one model: where a sample is unknown, the headers tell."""
    (header, _, sample), (other_header, _, other_sample) = one.partition("/"), other.partition("/")
    return header == other_header and (not sample or not other_sample or sample == other_sample)
