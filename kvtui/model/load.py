"""From a header to a ModelSpec: llama.cpp's load_hparams, driven by the records of families.py."""

from collections.abc import Sequence
from pathlib import Path

from kvtui.header.reader import Header, HeaderError, SkippedArray
from kvtui.header.source import open_header
from kvtui.model.blocks import MAX_LAYERS, read_blocks
from kvtui.model.families import FAMILIES, PLAIN
from kvtui.model.keys import Keys
from kvtui.model.loading import Loading
from kvtui.model.spec import ModelSpec
from kvtui.model.tensors import classify

_LONGEST_NAME = 64  # of an architecture; llama.cpp's longest has 16 letters
MTP = "draft-mtp"  # the --spec-type that loads MTP blocks


def load_model(path: Path, spec_types: Sequence[str] = ()) -> ModelSpec:
    """The model at `path`. Raises HeaderError with one sentence."""
    return model_from_header(open_header(path), path.stem, spec_types)


def model_from_header(header: Header, fallback_name: str, spec_types: Sequence[str] = ()) -> ModelSpec:
    """src/llama-model.cpp, load_hparams and load_arch_hparams. `fallback_name` names a model without general.name."""
    architecture = header.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise HeaderError("the key general.architecture is missing: this is no model llama.cpp can load")
    if not architecture.isprintable() or len(architecture) > _LONGEST_NAME:
        raise HeaderError(f"unknown model architecture: {architecture!r:.80}")
    keys, family = Keys(header, architecture), FAMILIES.get(architecture, PLAIN)
    n_all = keys.number("block_count")
    if not 0 < n_all <= MAX_LAYERS:
        raise HeaderError(f"the model has {n_all} blocks; llama.cpp takes 1 to {MAX_LAYERS}")
    n_mtp = keys.number("nextn_predict_layers", 0)
    if n_mtp > n_all:
        raise HeaderError(f"the model has {n_mtp} MTP blocks of {n_all} blocks in all")
    if family.mtp_needs_tensor and not _has(header, f"blk.{n_all - n_mtp}.nextn.eh_proj.weight"):
        n_mtp = 0
    mtp = family.mtp and n_mtp > 0 and MTP in spec_types
    n_layer = n_all - n_mtp
    layers, n_swa, top_k = read_blocks(keys, family, n_all, n_layer, mtp)
    n_expert = keys.number("expert_count", 0)
    used = keys.per_block("expert_used_count", n_all, (0,) * n_all)
    name = header.metadata.get("general.name")
    return ModelSpec(
        architecture=architecture,
        name=name if isinstance(name, str) and name.strip() else fallback_name,
        family=family,
        known=architecture in FAMILIES,
        n_layer_all=len(layers),
        n_layer=n_layer * (len(layers) // n_all if family.loops else 1),
        n_ctx_train=keys.number("context_length"),
        n_embd=keys.number("embedding_length"),
        n_vocab=_vocabulary(keys),
        n_expert=n_expert,
        n_expert_used=max(used),
        is_mla=_is_mla(keys),
        n_swa=n_swa,
        top_k=top_k,
        layers=layers,
        tensors=classify(keys, family, n_layer, n_expert, used, mtp),
        tied_output=not _has(header, "output.weight") and _has(header, "token_embd.weight"),
        mtp=mtp,
        is_causal=header.metadata.get(f"{architecture}.attention.causal", True) is not False,
        header=header,
        refusal=Loading(header, architecture, layers, n_layer).refusal(),
    )


def _has(header: Header, name: str) -> bool:
    return any(t.name == name for t in header.tensors)


def _is_mla(keys: Keys) -> bool:
    """src/llama-hparams.cpp, is_mla."""
    return bool(keys.number("attention.key_length_mla", 0) and keys.number("attention.value_length_mla", 0))


def _vocabulary(keys: Keys) -> int:
    tokens = keys.header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, SkippedArray):
        return tokens.length
    if isinstance(tokens, tuple):
        return len(tokens)
    embedding = next((t for t in keys.header.tensors if t.name == "token_embd.weight"), None)
    rows = embedding.dims[1] if embedding is not None and len(embedding.dims) > 1 else 0
    return keys.number("vocab_size", rows)
