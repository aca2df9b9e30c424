"""A model is known by its content: a file that was moved or renamed is the same one, a file that changed another."""

import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from kvtui.header.identity import model_identity, same_model
from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes, open_header

Weights = np.ndarray


def write(path: Path, weights: Weights, name: str = "a model", part: int | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    if part is not None:
        writer.add_uint16("split.no", part)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", 2)
    writer.add_tensor(f"blk.{part or 0}.w", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def weights() -> Weights:
    return np.random.default_rng(7).standard_normal((256, 1024)).astype(np.float32)


def identity(path: Path) -> str:
    return model_identity(open_header(path))


def test_moved_or_renamed_it_is_the_same(tmp_path: Path, weights: Weights) -> None:
    path = write(tmp_path / "a.gguf", weights)
    before = identity(path)
    (tmp_path / "elsewhere").mkdir()
    assert identity(Path(shutil.copy(path, tmp_path / "elsewhere" / "b.gguf"))) == before
    assert identity(path.rename(tmp_path / "c.gguf")) == before


def test_changed_it_is_another(tmp_path: Path, weights: Weights) -> None:
    before = identity(write(tmp_path / "a.gguf", weights))
    tuned = weights + np.float32(0.001)
    assert not same_model(before, identity(write(tmp_path / "b.gguf", tuned)))  # the same header and size
    assert not same_model(before, identity(write(tmp_path / "c.gguf", weights, "another")))
    assert not same_model(before, identity(write(tmp_path / "d.gguf", weights[:-1])))
    last = weights.copy()
    last[-1, -1] += 1
    assert not same_model(before, identity(write(tmp_path / "e.gguf", last)))


def test_of_a_split_set_each_part_counts(tmp_path: Path, weights: Weights) -> None:
    first = write(tmp_path / "m-00001-of-00002.gguf", weights, part=0)
    write(tmp_path / "m-00002-of-00002.gguf", weights, part=1)
    before = identity(first)
    write(tmp_path / "m-00002-of-00002.gguf", -weights, part=1)
    assert not same_model(before, identity(first))


def test_from_afar_the_header_tells(tmp_path: Path, weights: Weights) -> None:
    path = write(tmp_path / "a.gguf", weights)
    local = open_header(path)
    far = read_header(HeaderBytes(path.read_bytes()[: local.data_offset], path.stat().st_size))
    assert same_model(model_identity(local), model_identity(far))
    assert not same_model(model_identity(local), model_identity(replace(far, file_bytes=far.file_bytes + 1)))
