"""A projector and a draft model that do not go with the model are told before llama-server says so, or says nothing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.beside import BesideFlags
from kvtui.header.reader import Header
from kvtui.memory.beside.pairing import draft_misfit, draft_without_type, projector_misfit
from kvtui.model.load import model_from_header
from kvtui.model.projector import projector_from_header
from kvtui.model.spec import ModelSpec
from kvtui.placement.plan import quick_plan
from kvtui.tasks.demo import demo_request

SIMPLE = ("draft-simple",)


def model(headers: Mapping[str, Header], **more: object) -> ModelSpec:
    """Llama 3.1 8B whose header says `more` of its tokenizer."""
    header = headers["llama-3.1-8b-q4_k_m"]
    said = {f"tokenizer.ggml.{key}": value for key, value in more.items()}
    return model_from_header(replace(header, metadata={**header.metadata, **said}), "llama")  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("target", "draft", "why"),
    [
        ({"model": "gpt2"}, {"model": "llama"}, "tokenizers gpt2 and llama"),
        ({"model": "gpt2", "add_bos_token": True}, {"model": "gpt2", "add_bos_token": False}, "adds a first token"),
        (
            {"model": "gpt2", "add_eos_token": True, "eos_token_id": 7},
            {"model": "gpt2", "add_eos_token": True, "eos_token_id": 8},
            "last tokens 7 and 8",
        ),
    ],
)
def test_vocabularies_that_differ(
    headers: Mapping[str, Header], target: dict[str, object], draft: dict[str, object], why: str
) -> None:
    found = draft_misfit(model(headers, **target), model(headers, **draft), SIMPLE)
    assert found is not None
    assert why in found.message
    assert found.severity == "warning"
    assert draft_misfit(model(headers, **target), model(headers, **draft), ("draft-mtp",)) is None


def test_vocabularies_that_go_together(headers: Mapping[str, Header]) -> None:
    plain = model(headers, model="gpt2", add_bos_token=True, bos_token_id=1)
    assert draft_misfit(plain, plain, SIMPLE) is None
    assert draft_misfit(plain, replace(plain, n_vocab=plain.n_vocab - 128), SIMPLE) is None
    larger = draft_misfit(plain, replace(plain, n_vocab=plain.n_vocab + 129), SIMPLE)
    assert larger is not None
    assert "128 apart at most" in larger.message
    assert draft_misfit(model(headers, model="gemma4"), model(headers, model="gpt2"), SIMPLE) is None


def test_a_draft_model_without_a_type_drafts_nothing(headers: Mapping[str, Header]) -> None:
    found = draft_without_type(model(headers), ())
    assert found is not None
    assert "add --spec-type draft-simple" in found.message
    assert draft_without_type(model(headers), SIMPLE) is None


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("mmproj-gemma-3-12b-f16", 3840),
        ("mmproj-gemma-4-31b-f16", 5376),
        ("mmproj-internvl3-38b-f16", 5120),
        ("mmproj-mistral-small-3.1-f16", 5120),
        ("mmproj-qwen2.5-vl-7b-f16", 3584),
        ("mmproj-qwen3-vl-8b-f16", 4096),
        ("mmproj-qwen3.6-27b-f16", 5120),
    ],
)
def test_a_projector_of_another_width(beside_headers: Mapping[str, Header], name: str, width: int) -> None:
    """`width`: n_embd of the model that it was made for."""
    projector, plain = projector_from_header(beside_headers[name], name), demo_request().model
    assert projector_misfit(replace(plain, n_embd=width), projector) is None
    found = projector_misfit(replace(plain, n_embd=width + 256), projector)
    assert found is not None
    assert found.severity == "error"
    assert f"text model (n_embd = {width + 256}) and mmproj (n_embd = {width})" in found.message


def test_a_plan_says_it(headers: Mapping[str, Header]) -> None:
    demo = demo_request()
    beside = replace(demo.beside, flags=BesideFlags(draft="draft.gguf"), draft=model(headers))
    context = replace(demo.context, spec_types=SIMPLE)
    codes = {f.code for f in quick_plan(replace(demo, beside=beside, context=context)).findings}
    assert "draft-vocabulary" in codes
