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


KEYS = {
    "cohere2-dense": "cohere2.logit_scale",
    "dbrx-moe": "dbrx.attention.clamp_kqv",
    "falcon-h1-dense": "falcon-h1.ssm.group_count",
    "gptneox-dense": "gptneox.use_parallel_residual",
    "gpt-oss-moe": "gpt-oss.attention.sliding_window",
    "granite-dense": "granite.logit_scale",
    "lfm2-dense": "lfm2.shortconv.l_cache",
    "mamba-dense": "mamba.ssm.conv_kernel",
    "minicpm3-dense": "minicpm3.attention.kv_lora_rank",
    "qwen2vl-dense": "qwen2vl.rope.dimension_sections",
    "llama4-moe": "llama4.interleave_moe_layer_step",
    "granitehybrid-dense": "granitehybrid.ssm.inner_size",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_missing_key_is_judged_alike(headers: HeaderArchive, tmp_path: Path, binary: ServerBinary, name: str) -> None:
    architecture = str(headers[name].metadata["general.architecture"])
    for dropped in ("", KEYS[name]):
        made = _with_any_tokenizer(parsed(headers.head(name)), architecture).without(dropped)
        path = made.write(tmp_path / "odd.gguf")
        answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "cache")
        assert answer.impossible is None
        assert (answer.refused is None) == taken(path), (dropped, answer.refused)
        if dropped not in (answer.refused or ""):  # its log ends now and then before its last line: asked once more
            answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "again")
        assert dropped in (answer.refused or "")
