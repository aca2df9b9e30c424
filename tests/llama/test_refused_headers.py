"""A real llama-server and kvtui judge each odd header alike."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from header_archive import HeaderArchive
from odd_headers import CASES, STR, U32, Case, Gguf, Tensor, parsed

from kvtui.base.build import build_in
from kvtui.flags.context import ContextParams
from kvtui.header.reader import HeaderError
from kvtui.memory.refusals import refusals
from kvtui.model.load import load_model
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.dry_run import dry_run


def taken(path: Path) -> bool:
    try:
        model = load_model(path)
    except HeaderError:
        return False
    return not any(f.severity == "error" for f in refusals(model, ContextParams(n_ctx=256)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_judged_alike(tmp_path: Path, binary: ServerBinary, case: Case) -> None:
    build = build_in(binary.build)
    if build is not None and build.number < case.since:
        pytest.skip(f"{build} takes it, b{case.since} does not")
    path = case.make().write(tmp_path / "odd.gguf")
    answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "cache")
    assert answer.impossible is None
    assert (answer.refused is None) == taken(path), answer.refused


ARCHITECTURES = "llama qwen2 qwen3 qwen3moe gemma2 gemma3 phi3 gpt-oss smollm3 olmo2 olmoe command-r starcoder2 gpt2 falcon"


def _with_any_tokenizer(g: Gguf, architecture: str) -> Gguf:
    """The headers' own tokenizer is one that older servers do not have."""
    rows = g.named("token_embd.weight").dims[1]
    g.tensors = [t for t in g.tensors if not t.name.endswith(b"scale")]  # so are these
    return g.key("tokenizer.ggml.model", STR, "no_vocab").key(f"{architecture}.vocab_size", U32, rows)


@pytest.mark.parametrize("architecture", ARCHITECTURES.split())
def test_a_missing_and_a_further_tensor_are_judged_alike(
    headers: HeaderArchive, tmp_path: Path, binary: ServerBinary, architecture: str
) -> None:
    name = next(n for n in (f"{architecture}-dense", f"{architecture}-moe") if n in headers)
    sound = _with_any_tokenizer(parsed(headers.head(name)), architecture)
    lost = random.Random(name).choice([t.name for t in sound.tensors if t.name.endswith(b".weight")])
    changed = replace(sound, tensors=[t for t in sound.tensors if t.name != lost])
    further = replace(sound, tensors=[*sound.tensors, Tensor(b"blk.0.attn_norm.scale", [1])])
    for made in (sound, changed, further):
        path = made.write(tmp_path / "odd.gguf")
        answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "cache")
        assert answer.impossible is None
        assert (answer.refused is None) == taken(path), (lost, answer.refused)
