"""The header reader, against files written and read by the gguf package and against damaged ones."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from kvtui.header.names import block_sizes
from kvtui.header.reader import HeaderError, SkippedArray, read_header
from kvtui.header.source import HeaderBytes, open_header
from kvtui.tasks.demo import demo_header


def write_model(path: Path, *, part: int | None = None, parts: int = 1, tensors: int = 3) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(4096)
    writer.add_array("llama.pattern", [1, 0, 1])
    writer.add_array("tokenizer.ggml.tokens", ["a", "bé", ""])
    writer.add_array("tokenizer.ggml.scores", [0.5] * 5000)
    writer.add_float32("llama.eps", 1e-5)
    writer.add_bool("llama.flag", True)
    if part is not None:
        writer.add_uint16("split.no", part)
        writer.add_uint16("split.count", parts)
        writer.add_int32("split.tensors.count", tensors * parts)
    for i in range(tensors):
        writer.add_tensor(f"blk.{(part or 0) * tensors + i}.w", np.zeros((4, 64), dtype=np.float16))
    writer.add_tensor("q", np.zeros((2, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0) if not part else None
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_types_are_those_of_the_package() -> None:
    assert {int(kind): (kind.name.lower(), block, size) for kind, (block, size) in gguf.GGML_QUANT_SIZES.items()} == block_sizes()


def test_agrees_with_the_packages_own_reader(tmp_path: Path) -> None:
    path = write_model(tmp_path / "small.gguf")
    ours, theirs = open_header(path), gguf.GGUFReader(path)
    assert [(t.name, t.dims, t.n_bytes) for t in ours.tensors] == [
        (t.name, tuple(int(d) for d in t.shape), int(t.n_bytes)) for t in theirs.tensors
    ]
    assert [ours.data_offset + t.offset for t in ours.tensors] == [int(t.data_offset) for t in theirs.tensors]
    for name, field in theirs.fields.items():
        if not name.startswith("GGUF.") and name != "tokenizer.ggml.scores":
            value = field.contents()
            assert ours.metadata[name] == (tuple(value) if isinstance(value, list) else value)
    assert ours.metadata["tokenizer.ggml.scores"] == SkippedArray(5000)


def test_bundled_header_has_the_published_shapes() -> None:
    header = demo_header()
    assert len(header.tensors) == 1096
    assert header.metadata["deepseek2.block_count"] == 61
    assert header.metadata["deepseek2.expert_count"] == 384
    assert sum(t.n_bytes for t in header.tensors) == pytest.approx(620.3 * 2**30, rel=1e-4)


def split_set(tmp_path: Path, parts: int = 2) -> list[Path]:
    return [write_model(tmp_path / f"m-{i + 1:05}-of-{parts:05}.gguf", part=i, parts=parts, tensors=3) for i in range(parts)]


def test_split_set_is_joined(tmp_path: Path) -> None:
    paths = split_set(tmp_path)
    # the writer adds one tensor more to the first part, so correct the count that both parts state
    for p in paths:
        data = p.read_bytes()
        at = data.index(b"split.tensors.count") + len("split.tensors.count") + 4
        p.write_bytes(data[:at] + struct.pack("<i", 7) + data[at + 4 :])
    header = open_header(paths[0])
    assert [t.name for t in header.tensors if t.name.startswith("blk")] == [f"blk.{i}.w" for i in range(6)]
    assert header.file_bytes == sum(p.stat().st_size for p in paths)


def test_split_set_with_a_part_missing_names_it(tmp_path: Path) -> None:
    paths = split_set(tmp_path)
    paths[1].unlink()
    with pytest.raises(HeaderError, match=r"m-00002-of-00002\.gguf: no such file"):
        open_header(paths[0])


def test_split_set_that_disagrees(tmp_path: Path) -> None:
    paths = split_set(tmp_path)
    with pytest.raises(HeaderError, match="says 6 tensors and holds 7"):
        open_header(paths[0])


GOOD = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def tensor(name: bytes, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def with_keys(*keys: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)


def with_tensors(*tensors: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + b"".join(tensors)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"GG", "no GGUF file"),
        (b"PK\x03\x04" + bytes(60), "no GGUF file"),
        (GOOD[:10], "cut off at byte 8"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1 is not supported"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "claims 0 keys and 9223372036854775808 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "claims 9223372036854775808 keys"),
        (with_keys(struct.pack("<Q", 2**62) + b"x" * 16), "goes past the end"),
        (with_keys(text(b"a") + struct.pack("<I", 8) + struct.pack("<Q", 2**64 - 1)), "a goes past the end"),
        (with_keys(text(b"a") + struct.pack("<I", 99) + b"1234"), "unknown type 99"),
        (with_keys(text(b"a") + struct.pack("<IIQ", 9, 9, 1) + bytes(8)), "array of unknown type 9"),
        (with_keys(text(b"a") + struct.pack("<IIQ", 9, 8, 2**60)), "claims 1152921504606846976 strings"),
        (with_keys(text(b"a") + struct.pack("<IIQ", 9, 4, 2**60)), "claims 1152921504606846976 values"),
        (with_keys(*[text(b"a") + struct.pack("<II", 4, 1)] * 2), "'a' occurs twice"),
        (with_keys(text(b"general.alignment") + struct.pack("<II", 4, 0)), "alignment is 0"),
        (with_keys(text(b"general.alignment") + struct.pack("<II", 4, 48)), "alignment is 48"),
        (with_tensors(tensor(b"t", (1, 1, 1, 1, 1))), "has 5 dimensions"),
        (with_tensors(tensor(b"t", (2**40, 2**40))), "impossible dimensions"),
        (with_tensors(tensor(b"t", (33,), kind=8)), "needs multiples of 32"),
        (with_tensors(tensor(b"t", (1,), kind=77)), "unknown type 77"),
        (with_tensors(tensor(b"t", (1,), offset=3)), "'t' is at offset 3, expected 0"),
        (with_tensors(tensor(b"t", (0,)), tensor(b"u", (0,), offset=32)) + bytes(64), "'u' is at offset 32, expected 0"),
        (with_tensors(tensor(b"t", (0,))), "goes past the end of the file"),
        (with_tensors(tensor(b"t" * 64, (0,))), "has a name of 64 bytes"),
        (with_tensors(tensor("é".encode() * 32, (0,))), "has a name of 64 bytes"),
        (with_tensors(tensor(b"t", (2**63, 0))), "impossible dimensions"),
        (with_tensors(tensor(b"t", (), kind=8)), "rows of 1 values"),
        (with_keys(text(b"") + struct.pack("<II", 4, 1)), "key 0 has an empty name"),
        (with_keys(text(b"general.alignment") + struct.pack("<IQ", 10, 32)), "alignment is of type u64"),
        (with_keys(text(b"general.alignment") + struct.pack("<IB", 7, 1)), "alignment is of type bool"),
        (with_keys(text(b"a") + struct.pack("<IIQ", 9, 7, 2**30 + 1)), "claims 1073741825 values"),
        (with_tensors(tensor(b"t", (0,)), tensor(b"t", (0,))), "'t' occurs twice"),
        (with_tensors(tensor(b"t", (1024,))), "goes past the end of the file"),
    ],
)
def test_damaged_headers_say_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        read_header(HeaderBytes(data, len(data)))


def test_paths_that_are_no_model(tmp_path: Path) -> None:
    import os

    with pytest.raises(HeaderError, match=r"no\.gguf: no such file"):
        open_header(tmp_path / "no.gguf")
    with pytest.raises(HeaderError, match="is a directory"):
        open_header(tmp_path)
    os.mkfifo(tmp_path / "fifo.gguf")
    with pytest.raises(HeaderError, match="is not a regular file"):
        open_header(tmp_path / "fifo.gguf")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    with pytest.raises(HeaderError, match=r"loop\.gguf: "):
        open_header(tmp_path / "loop.gguf")
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(HeaderError, match=r"empty\.gguf: the file is empty"):
        open_header(tmp_path / "empty.gguf")
