"""A lazy walk over a GGUF header (ggml/src/gguf.cpp, gguf_init_from_reader): metadata and tensor names, shapes, types.

Long arrays (a vocabulary) are stepped over, not built: their length is kept, numbers are unpacked only when short."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from kvtui.base.findings import KvtuiError
from kvtui.base.text import printable
from kvtui.header.names import block_sizes

MAX_ARRAY = 4096  # longer arrays are vocabularies: no per-layer array is (llama-hparams.h, LLAMA_MAX_LAYERS 512)
MAX_DIMS = 4  # ggml.h, GGML_MAX_DIMS
DEFAULT_ALIGNMENT = 32  # gguf.h, GGUF_DEFAULT_ALIGNMENT
NAME_BYTES = 64  # ggml.h, GGML_MAX_NAME: a tensor's name and its end
MOST_STRING_BYTES = 1 << 30  # gguf.cpp, GGUF_MAX_STRING_LENGTH
MOST_ELEMENTS = 1 << 30  # gguf.cpp, GGUF_MAX_ARRAY_ELEMENTS
MOST_TENSORS = 1 << 18  # a model with its experts apart has 60,000
_CHUNK = 1 << 20  # bytes read at a time while stepping over a vocabulary


_MOST_SAID = 200  # characters of a key: of any that means something, all


class HeaderError(KvtuiError):
    """What is wrong with a header and where; one sentence."""


@dataclass(frozen=True)
class SkippedArray:
    """An array stepped over: only its length is known."""

    length: int


Scalar = str | int | float | bool
Value = Scalar | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | tuple[bool, ...] | SkippedArray


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
    """What one GGUF file (or a joined split set) says: `data_offset` is where tensor data begins in the first file.
    `types`: the type of each key as gguf_type_name says it, `[u32]` for an array; empty for a header made by hand. `sample`:
    a digest of some of a local file's tensor data."""

    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int  # of all files together
    types: Mapping[str, str] = field(default_factory=dict)
    sample: str = ""


class Source(Protocol):
    """Random access to a file's bytes: local, in memory, or remote and fetched as it is read."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, at: int, least: int, most: int) -> bytes:
        """Between `least` and `most` bytes from `at`; fewer than `least` only if the file became shorter."""


_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRUCTS = {t: struct.Struct(f) for t, f in _SCALARS.items()}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
# gguf.cpp, GGUF_TYPE_NAME
_NAMES = {
    0: "u8",
    1: "i8",
    2: "u16",
    3: "i16",
    4: "u32",
    5: "i32",
    6: "f32",
    7: "bool",
    8: "str",
    10: "u64",
    11: "i64",
    12: "f64",
}


class _Walk:
    """A position in the source; every step is checked against the end. Holds one chunk of the bytes at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size
        self.at = 0
        self.chunk = b""
        self.chunk_at = 0

    def _check(self, n: int, what: str) -> None:
        if self.at + n > self.size:
            raise HeaderError(f"the header is cut off at byte {self.at}: {what} goes past the end of the file")

    def take(self, n: int, what: str) -> bytes:
        self._check(n, what)
        start = self.at - self.chunk_at
        if start < 0 or start + n > len(self.chunk):
            want = min(max(n, _CHUNK), self.size - self.at)
            self.chunk, self.chunk_at, start = self.source.read(self.at, n, want), self.at, 0
            if len(self.chunk) < n:
                raise HeaderError(f"the file became shorter while it was read (byte {self.at + len(self.chunk)})")
        self.at += n
        return self.chunk[start : start + n]

    def u32(self, what: str) -> int:
        return int(_U32.unpack(self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack(self.take(8, what))[0])

    def string(self, what: str) -> bytes:
        length = self.u64(what)
        if length > MOST_STRING_BYTES:
            raise HeaderError(f"{what} goes past the end: a string of {length} bytes, at most {MOST_STRING_BYTES} are read")
        return self.take(length, what)

    def text(self, what: str) -> str:
        return self.string(what).decode("utf-8", "replace")

    def skip(self, n: int, what: str) -> None:
        self._check(n, what)
        self.at += n

    def skip_texts(self, count: int, what: str) -> None:
        unpack, left = _U64.unpack_from, count
        while left:
            self.take(8, what)  # brings the chunk that holds the next length
            self.at -= 8
            chunk, at = self.chunk, self.at - self.chunk_at
            last = len(chunk) - 8
            while left and at <= last:
                at += 8 + unpack(chunk, at)[0]
                left -= 1
            self.at = self.chunk_at + at
            self._check(0, what)


def _array(walk: _Walk, key: str) -> tuple[Value, str]:
    kind, count = walk.u32(key), walk.u64(key)
    if kind not in _NAMES:
        raise HeaderError(f"{key} is an array of unknown type {kind}")
    if count > MOST_ELEMENTS:
        what = "strings" if kind == _STRING else "values"
        raise HeaderError(f"{key} claims {count} {what}; at most {MOST_ELEMENTS} are read")
    return _elements(walk, key, kind, count), f"[{_NAMES[kind]}]"


def _elements(walk: _Walk, key: str, kind: int, count: int) -> Value:
    if kind == _STRING:
        if count * 8 > walk.size - walk.at:
            raise HeaderError(f"{key} claims {count} strings, more than the file holds")
        if count > MAX_ARRAY:
            walk.skip_texts(count, key)
            return SkippedArray(count)
        return tuple(walk.text(key) for _ in range(count))
    width = _STRUCTS[kind].size
    if count * width > walk.size - walk.at:
        raise HeaderError(f"{key} claims {count} values, more than the file holds")
    if count > MAX_ARRAY:
        walk.skip(count * width, key)
        return SkippedArray(count)
    return struct.unpack(f"<{count}{_SCALARS[kind][1]}", walk.take(count * width, key))


def _metadata(walk: _Walk, count: int) -> tuple[dict[str, Value], dict[str, str]]:
    found: dict[str, Value] = {}
    types: dict[str, str] = {}
    for i in range(count):
        key = walk.text("a metadata key")
        if not key:
            raise HeaderError(f"metadata key {i} has an empty name")
        if key in found:
            raise HeaderError(f"the key {key!r:.{_MOST_SAID}} occurs twice")
        kind, said = walk.u32("a metadata type"), printable(key, _MOST_SAID)
        if kind == _ARRAY:
            found[key], types[key] = _array(walk, said)
            continue
        if kind not in _NAMES:
            raise HeaderError(f"the key {key!r:.{_MOST_SAID}} has unknown type {kind}")
        types[key] = _NAMES[kind]
        if kind == _STRING:
            found[key] = walk.text(said)
        else:
            found[key] = _STRUCTS[kind].unpack(walk.take(_STRUCTS[kind].size, said))[0]
    return found, types


def _tensor(walk: _Walk) -> TensorInfo:
    raw = walk.string("a tensor name")
    name = raw.decode("utf-8", "replace")
    if len(raw) >= NAME_BYTES:
        raise HeaderError(f"the tensor {name!r:.80} has a name of {len(raw)} bytes, at most {NAME_BYTES - 1} are possible")
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
    if count >= 2**63 or any(d >= 2**63 for d in dims):
        raise HeaderError(f"the tensor {name!r} has impossible dimensions {dims}")
    row = dims[0] if dims else 1
    if row % block:
        raise HeaderError(f"the tensor {name!r} has rows of {row} values, {type_name} needs multiples of {block}")
    return TensorInfo(name, dims, type_name, count // block * size, offset)


def _tensors(walk: _Walk, count: int) -> tuple[TensorInfo, ...]:
    found: dict[str, TensorInfo] = {}
    for _ in range(count):
        tensor = _tensor(walk)
        if tensor.name in found:  # at once: a file of zeros, or a server that sends them, has one name without end
            raise HeaderError(f"the tensor {tensor.name!r} occurs twice")
        found[tensor.name] = tensor
    return tuple(found.values())


def read_header(source: Source) -> Header:
    """Header of one file. Raises HeaderError with a sentence for anything llama.cpp could not load."""
    walk = _Walk(source)
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
    if n_tensors > MOST_TENSORS:
        raise HeaderError(f"the header claims {n_tensors} tensors; at most {MOST_TENSORS} are read")
    metadata, types = _metadata(walk, n_metadata)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if (kind := types.get("general.alignment", "u32")) != "u32":
        raise HeaderError(f"general.alignment is of type {kind}, not u32")
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise HeaderError(f"general.alignment is {alignment!r}, not a power of two")
    tensors = _tensors(walk, n_tensors)
    data_offset = _padded(walk.at, alignment)
    expected = 0
    for t in tensors:
        if t.offset != expected:
            raise HeaderError(f"the tensor {t.name!r} is at offset {t.offset}, expected {expected} (alignment {alignment})")
        if data_offset + t.offset + t.n_bytes > walk.size:
            raise HeaderError(f"the tensor {t.name!r} goes past the end of the file: cut off, or still downloading")
        expected += _padded(t.n_bytes, alignment)
    return Header(metadata, tensors, data_offset, walk.size, types)


def _padded(n_bytes: int, alignment: int) -> int:
    return (n_bytes + alignment - 1) // alignment * alignment
