"""A lazy walk over a GGUF header (ggml/src/gguf.cpp, gguf_init_from_reader): metadata and tensor names, shapes, types.

Long arrays (a vocabulary) are stepped over, not built: their length is kept, numbers are unpacked only when short."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from kvtui.header.names import block_sizes

Scalar = str | int | float | bool
Value = Scalar | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | tuple[bool, ...] | "SkippedArray"

MAX_ARRAY = 4096  # longer arrays are vocabularies: no per-layer array is (llama-hparams.h, LLAMA_MAX_LAYERS 512)
MAX_DIMS = 4  # ggml.h, GGML_MAX_DIMS
MAX_NAME = 65535  # bytes of a key


class HeaderError(Exception):
    """What is wrong with a header and where; one sentence."""


@dataclass(frozen=True)
class SkippedArray:
    """An array stepped over: only its length is known."""

    length: int


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: `dims` as ggml's ne (fastest first, without trailing ones), `offset` into its file's data."""

    name: str
    dims: tuple[int, ...]
    type_name: str
    n_bytes: int
    offset: int

    @cached_property
    def elements(self) -> int:
        """Number of values."""
        count = 1
        for d in self.dims:
            count *= d
        return count


@dataclass(frozen=True)
class Header:
    """What one GGUF file (or a joined split set) says: `data_offset` is where tensor data begins in the first file."""

    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int  # of all files together


class Bytes(Protocol):
    """Random access to the header's bytes: an mmap, bytes, or a remote file fetched as it is read."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...


_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRUCTS = {t: struct.Struct(f) for t, f in _SCALARS.items()}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_STRING, _ARRAY = 8, 9


class _Walk:
    """A position in the bytes; every read is checked against the end."""

    def __init__(self, data: Bytes) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    def take(self, n: int, what: str) -> bytes:
        if n < 0 or self.at + n > self.size:
            raise HeaderError(f"the header is cut off at byte {self.at}: {what} goes past the end of the file")
        out = self.data[self.at : self.at + n]
        if len(out) != n:
            raise HeaderError(f"the file became shorter while it was read (byte {self.at})")
        self.at += n
        return out

    def u32(self, what: str) -> int:
        return int(_U32.unpack(self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack(self.take(8, what))[0])

    def text(self, what: str) -> str:
        return self.take(self.u64(what), what).decode("utf-8", "replace")

    def skip(self, n: int, what: str) -> None:
        if n < 0 or self.at + n > self.size:
            raise HeaderError(f"the header is cut off at byte {self.at}: {what} goes past the end of the file")
        self.at += n

    def skip_texts(self, count: int, what: str) -> None:
        data, at, size, unpack = self.data, self.at, self.size, _U64.unpack
        for _ in range(count):
            if at + 8 > size:
                raise HeaderError(f"the header is cut off at byte {at}: {what} goes past the end of the file")
            at += 8 + unpack(data[at : at + 8])[0]
        if at > size:
            raise HeaderError(f"the header is cut off at byte {self.at}: {what} goes past the end of the file")
        self.at = at


def _array(walk: _Walk, key: str) -> Value:
    kind, count = walk.u32(key), walk.u64(key)
    if kind == _STRING:
        if count * 8 > walk.size - walk.at:
            raise HeaderError(f"{key} claims {count} strings, more than the file holds")
        if count > MAX_ARRAY:
            walk.skip_texts(count, key)
            return SkippedArray(count)
        return tuple(walk.text(key) for _ in range(count))
    if kind not in _STRUCTS:
        raise HeaderError(f"{key} is an array of unknown type {kind}")
    width = _STRUCTS[kind].size
    if count * width > walk.size - walk.at:
        raise HeaderError(f"{key} claims {count} values, more than the file holds")
    if count > MAX_ARRAY:
        walk.skip(count * width, key)
        return SkippedArray(count)
    return struct.unpack(f"<{count}{_SCALARS[kind][1]}", walk.take(count * width, key))


def _metadata(walk: _Walk, count: int) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for _ in range(count):
        key, kind = walk.text("a metadata key"), walk.u32("a metadata type")
        if key in found:
            raise HeaderError(f"the key {key!r} occurs twice")
        if kind == _STRING:
            found[key] = walk.text(key)
        elif kind == _ARRAY:
            found[key] = _array(walk, key)
        elif kind in _STRUCTS:
            found[key] = _STRUCTS[kind].unpack(walk.take(_STRUCTS[kind].size, key))[0]
        else:
            raise HeaderError(f"the key {key!r} has unknown type {kind}")
    return found


def _tensor(walk: _Walk) -> TensorInfo:
    name = walk.text("a tensor name")
    n_dims = walk.u32(name)
    if n_dims > MAX_DIMS:
        raise HeaderError(f"the tensor {name!r} has {n_dims} dimensions, at most {MAX_DIMS} are possible")
    dims = struct.unpack(f"<{n_dims}Q", walk.take(8 * n_dims, name))
    kind, offset = walk.u32(name), walk.u64(name)
    if kind not in block_sizes():
        raise HeaderError(f"the tensor {name!r} has unknown type {kind}")
    type_name, block, size = block_sizes()[kind]
    count = 1
    for d in dims:
        count *= d
    if count >= 2**63:
        raise HeaderError(f"the tensor {name!r} has impossible dimensions {dims}")
    if dims and dims[0] % block:
        raise HeaderError(f"the tensor {name!r} has rows of {dims[0]} values, no multiple of {type_name}'s block {block}")
    return TensorInfo(name, dims, type_name, count // block * size, offset)


def read_header(data: Bytes) -> Header:
    """Header of one file. Raises HeaderError with a sentence for anything llama.cpp could not load."""
    walk = _Walk(data)
    if walk.size == 0:
        raise HeaderError("the file is empty")
    if walk.take(min(4, walk.size), "the magic") != b"GGUF":
        raise HeaderError("this is no GGUF file: it does not begin with 'GGUF'")
    version = walk.u32("the version")
    if version & 0xFFFF == 0:
        raise HeaderError("the file is big-endian GGUF; llama.cpp on this machine could not load it")
    if version not in (2, 3):
        raise HeaderError(f"GGUF version {version} is not supported (2 and 3 are)")
    n_tensors, n_metadata = walk.u64("the tensor count"), walk.u64("the metadata count")
    # the least a key takes is 13 bytes, a tensor 25: a count that cannot be true is refused before any work
    if n_metadata * 13 > walk.size or n_tensors * 25 > walk.size:
        raise HeaderError(f"the header claims {n_metadata} keys and {n_tensors} tensors, more than the file holds")
    metadata = _metadata(walk, n_metadata)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise HeaderError(f"general.alignment is {alignment!r}, not a power of two")
    tensors = tuple(_tensor(walk) for _ in range(n_tensors))
    if len({t.name for t in tensors}) != len(tensors):
        seen: set[str] = set()
        twice = next(t.name for t in tensors if t.name in seen or seen.add(t.name))  # type: ignore[func-returns-value]
        raise HeaderError(f"the tensor {twice!r} occurs twice")
    return Header(metadata, tensors, (walk.at + alignment - 1) // alignment * alignment, walk.size)
