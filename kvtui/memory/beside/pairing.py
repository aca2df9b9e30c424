"""Whether what is loaded beside the model goes with it: a projector of the model's width, a draft model of its vocabulary."""

from collections.abc import Iterator, Sequence

from kvtui.base.findings import Finding
from kvtui.model.projector import Projector
from kvtui.model.spec import ModelSpec

MISFIT_PROJECTOR = "projector-width"
MISFIT_DRAFT = "draft-vocabulary"
UNASKED_DRAFT = "draft-without-type"
_SIMPLE = "draft-simple"  # the other types share the model's vocabulary
_MOST_TOKENS_APART = 128  # common/speculative.cpp, SPEC_VOCAB_MAX_SIZE_DIFFERENCE
# src/llama-vocab.cpp, llama_vocab::impl::load: tokenizers of another type than their name; both are byte pairs
_SAME_TYPE = {"gemma4": "gpt2", "hybriddna": "gpt2", "whitespace": "gpt2", "no_vocab": "none"}
# tools/mtmd/clip.cpp, clip_n_mmproj_embd: (tensor, dimension) that has the width of what a projector type gives the model
_WIDTH = {
    "qwen2vl_merger": ("mm.2.bias", 0),
    "qwen2.5vl_merger": ("mm.2.bias", 0),
    "qwen3vl_merger": ("mm.2.bias", 0),  # without the deepstack layers, which model and projector both have or lack
    "gemma3": ("mm.input_projection.weight", 0),
    "gemma4v": ("mm.input_projection.weight", 1),
    "pixtral": ("mm.2.weight", 1),
    "internvl": ("mm.model.mlp.3.weight", 1),
}


def projector_misfit(model: ModelSpec, projector: Projector) -> Finding | None:
    """tools/mtmd/mtmd.cpp, mtmd_context: mismatch between text model and mmproj, and the server does not start."""
    for encoder in projector.encoders:
        name, dimension = _WIDTH.get(encoder.kind, ("", 0))
        tensor = projector.tensors.get(name)
        width = tensor.dims[dimension] if tensor is not None and dimension < len(tensor.dims) else model.n_embd
        if width != model.n_embd:
            text = f"{projector.name} is another model's projector: mismatch between text model (n_embd = {model.n_embd})"
            return Finding(MISFIT_PROJECTOR, "error", f"{text} and mmproj (n_embd = {width})")
    return None


def draft_misfit(model: ModelSpec, draft: ModelSpec, spec_types: Sequence[str]) -> Finding | None:
    """common/speculative.cpp, common_speculative_are_compatible: the server says so in its log, gives the draft model up, and
    goes on without it (server-context.cpp, load_model). Which tokens the vocabularies hold is not compared here."""
    if _SIMPLE not in spec_types:
        return None
    why = next(_differences(model, draft), None)
    if why is None:
        return None
    text = f"the draft model's vocabulary is not the model's ({why}): llama-server loads it, gives it up, and drafts nothing"
    return Finding(MISFIT_DRAFT, "warning", text)


def draft_without_type(draft: ModelSpec, spec_types: Sequence[str]) -> Finding | None:
    """common/speculative.cpp, common_speculative_types_from_gguf: only files of MTP blocks and of dflash say by themselves how
    they draft; another draft model is loaded and, without a type, given up (common_speculative_init)."""
    if spec_types:
        return None
    text = "without --spec-type llama-server loads the draft model and drafts nothing: add --spec-type draft-simple"
    if draft.architecture == "dflash" or any(t.name.endswith(".nextn.eh_proj.weight") for t in draft.tensors):
        kind = "draft-dflash" if draft.architecture == "dflash" else "draft-mtp"
        text = f"llama-server takes this draft model for --spec-type {kind}: write it, so that the figures are of that"
    return Finding(UNASKED_DRAFT, "warning", text)


def _differences(model: ModelSpec, draft: ModelSpec) -> Iterator[str]:
    kinds = [_tokenizer(m) for m in (model, draft)]
    if kinds[0] != kinds[1]:
        yield f"tokenizers {kinds[0]} and {kinds[1]}"
    for key, said in (("bos", "first"), ("eos", "last")):
        adds = [m.header.metadata.get(f"tokenizer.ggml.add_{key}_token") for m in (model, draft)]
        ids = [m.header.metadata.get(f"tokenizer.ggml.{key}_token_id") for m in (model, draft)]
        if None not in adds and adds[0] != adds[1]:
            yield f"one adds a {said} token, the other does not"
        if adds == [True, True] and None not in ids and ids[0] != ids[1]:
            yield f"{said} tokens {ids[0]} and {ids[1]}"
    if abs(model.n_vocab - draft.n_vocab) > _MOST_TOKENS_APART:
        yield f"{model.n_vocab:,} and {draft.n_vocab:,} tokens, {_MOST_TOKENS_APART} apart at most"


def _tokenizer(model: ModelSpec) -> str:
    name = str(model.header.metadata.get("tokenizer.ggml.model", "none"))
    return _SAME_TYPE.get(name, name)
