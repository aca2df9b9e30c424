"""What is refused when a model is loaded, held against the judgement of llama-server in the cases of odd_headers.py."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from header_archive import HeaderArchive
from odd_headers import CASES, Case, Gguf, parsed, small

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.flags.context import ContextParams
from kvtui.header.reader import Header, HeaderError, read_header
from kvtui.header.source import HeaderBytes
from kvtui.memory.refusals import refusals
from kvtui.model.families import FAMILIES
from kvtui.model.load import load_model, model_from_header
from kvtui.model.required import required_keys
from kvtui.model.tensor_rules import has_all_rules, has_rules


def said(path: Path) -> str | None:
    """Why the file is refused, in one line; None: it is taken."""
    try:
        model = load_model(path)
    except HeaderError as e:
        return str(e)
    errors = [f for f in refusals(model, ContextParams(n_ctx=256)) if f.severity == "error"]
    return errors[0].message if errors else None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_llama_server_refuses_is_refused(tmp_path: Path, case: Case) -> None:
    found = said(case.make().write(tmp_path / "odd.gguf"))
    assert (found is None) == case.taken, found
    assert found is None or ("\n" not in found and len(found) < 300 + len(str(tmp_path)))


def test_an_architecture_of_a_newer_build_is_a_warning(tmp_path: Path) -> None:
    model = load_model(small("brandnew").write(tmp_path / "new.gguf"))
    (finding,) = refusals(model, ContextParams(n_ctx=256))
    assert (finding.code, finding.severity) == ("unknown-architecture", "error")
    assert "unknown model architecture" in finding.message
    (finding,) = refusals(model, ContextParams(n_ctx=256), Build(DEFAULT_BUILD.number + 1000))
    assert finding.severity == "warning"


def test_no_sound_header_is_refused(loaded_headers: Mapping[str, Header], beside_headers: HeaderArchive) -> None:
    found = [(name, h) for archive in (loaded_headers, beside_headers) for name, h in archive.items()]
    models = {name: model_from_header(h, name) for name, h in found if h.metadata["general.architecture"] != "clip"}
    assert {name: m.refusal for name, m in models.items() if m.refusal is not None} == {}
    tabled = {m.architecture for m in models.values() if has_rules(m.architecture)}
    assert len(tabled) > 50
    assert tabled <= set(FAMILIES)


def _mutants(sound: Gguf) -> list[str]:
    """Names of tensors of the first block and beside the blocks."""
    return [t.name.decode() for t in sound.tensors if not t.name.startswith(b"blk.") or t.name.startswith(b"blk.0.")]


def test_every_tensor_of_a_tabled_architecture_has_one_shape(headers: HeaderArchive) -> None:
    small_ones = [n for n in headers if n.endswith(("-dense", "-moe")) and len(headers.head(n)) < 30_000]
    names = [n for n in small_ones if not n.startswith(("grown-", "mtp-")) and has_all_rules(_architecture(headers[n]))]
    assert len(names) > 40
    for name in names:
        head = headers.head(name)
        for tensor in _mutants(parsed(head)):
            changed = parsed(head)
            changed.named(tensor).dims.append(3)
            found = model_from_header(_read(changed), name).refusal
            assert found is not None, (name, tensor)
            assert found.code == "wrong-shape", (name, tensor)
            assert tensor in found.message


def _architecture(header: Header) -> str:
    return str(header.metadata["general.architecture"])


def _read(g: Gguf) -> Header:
    head, data = g.head()
    return read_header(HeaderBytes(head, len(head) + data + 1024))


def test_every_required_key_is_missed(headers: HeaderArchive) -> None:
    names = [n for n in headers if n.endswith(("-dense", "-moe")) and not n.startswith(("grown-", "mtp-"))]
    tried = set()
    for name in names:
        architecture = _architecture(headers[name])
        if architecture in tried:
            continue
        tried.add(architecture)
        for key in required_keys(architecture):
            assert _why(parsed(headers.head(name)).without(key), name) == f"the key {key} is missing", name
    assert len(tried) > 90


def _why(g: Gguf, name: str) -> str | None:
    """Why a header is refused, when it is read or loaded."""
    try:
        refusal = model_from_header(_read(g), name).refusal
    except HeaderError as e:
        return str(e)
    return refusal and refusal.message


def test_a_key_without_the_architecture_is_missed(tmp_path: Path) -> None:
    assert said(small("apertus").write(tmp_path / "odd.gguf")) == "the key xielu.alpha_n is missing"


def test_keys_of_llama_cpp_are_named_as_it_names_them() -> None:
    assert "xielu.alpha_n" in required_keys("apertus")  # without the architecture
    assert "cohere2.logit_scale" in required_keys("cohere2")
    assert "granite.residual_scale" not in required_keys("granite")
    assert "ernie4_5.interleave_moe_layer_step" not in required_keys("ernie4_5")
    assert "ernie4_5-moe.interleave_moe_layer_step" in required_keys("ernie4_5-moe")
    assert "llama-embed.attention.layer_norm_rms_epsilon" in required_keys("llama-embed")  # as llama


def test_deepseek_needs_a_rank_of_q_unless_it_is_lite(headers: HeaderArchive) -> None:
    key = "deepseek2.attention.q_lora_rank"
    name = next(n for n in headers if n.endswith("-moe") and _architecture(headers[n]) == "deepseek2")
    assert _why(parsed(headers.head(name)).without(key), name) == f"the key {key} is missing"
