"""Finding GGUF files in folders laid out as their programs lay them out."""

import json
from pathlib import Path

import pytest

from kvtui.header.shelf import Place, architecture, shelf_models, usual_places


def put(path: Path, n_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * n_bytes)
    return path


def test_a_split_set_is_one_model_and_a_projector_none(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(tmp_path / "big" / f"big-Q4-0000{number}-of-00003.gguf", 100 * number)
    put(tmp_path / "big" / "mmproj-F16.gguf", 7)
    put(tmp_path / "notes.txt", 7)
    (found,) = shelf_models((Place("here", tmp_path),))
    assert (found.name, found.n_bytes, found.missing) == ("big-Q4.gguf", 600, 0)
    assert found.path.name == "big-Q4-00001-of-00003.gguf"


def test_missing_parts_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "big-00002-of-00003.gguf", 5)
    (found,) = shelf_models((Place("here", tmp_path),))
    assert found.missing == 2


def test_hugging_face_links_are_followed_and_a_file_is_listed_once(tmp_path: Path) -> None:
    blob = put(tmp_path / "hub" / "models--o--n" / "blobs" / "abc", 11)
    link = tmp_path / "hub" / "models--o--n" / "snapshots" / "1234" / "n-Q8_0.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    (tmp_path / "hub" / "loop").symlink_to(tmp_path / "hub")
    (tmp_path / "hub" / "gone.gguf").symlink_to(tmp_path / "nowhere")
    found = list(shelf_models((Place("Hugging Face", tmp_path / "hub"), Place("again", tmp_path / "hub"))))
    assert [(m.name, m.n_bytes, m.place) for m in found] == [("n-Q8_0.gguf", 11, "Hugging Face")]


def test_ollama_names_come_from_its_manifests(tmp_path: Path) -> None:
    blob = put(tmp_path / "blobs" / "sha256-aa", 13)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:bb"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:aa"},
    ]
    manifest = tmp_path / "manifests" / "registry" / "library" / "qwen3" / "8b"
    put(manifest, 0).write_text(json.dumps({"layers": layers}))
    put(manifest.with_name("bad"), 3)
    put(manifest.with_name("deep"), 0).write_text('{"layers": ' + "[" * 100_000)
    outside = [{"mediaType": "application/vnd.ollama.image.model", "digest": "x/../../../etc/passwd"}]
    put(manifest.with_name("evil"), 0).write_text(json.dumps({"layers": outside}))
    (found,) = shelf_models((Place("Ollama", tmp_path, ollama=True),))
    assert (found.name, found.path, found.n_bytes) == ("qwen3:8b", blob, 13)


def test_places_follow_the_environment(tmp_path: Path) -> None:
    env = {"LLAMA_CACHE": "/a", "HF_HOME": "/b", "OLLAMA_MODELS": "/c"}
    folders = [p.folder for p in usual_places(env, tmp_path, tmp_path)]
    assert {Path("/a"), Path("/b/hub"), Path("/c"), tmp_path / "models"} <= set(folders)


@pytest.mark.parametrize(("content", "said"), [(b"", "the file is empty"), (b"not a model at all", "GGUF")])
def test_a_file_that_is_no_model_says_so_in_its_row(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    assert said in architecture(path)
