"""What llama.cpp b11434 would refuse when it loads a model whose header can be read: an architecture it does not know, keys
of another type, experts that do not add up, tensors that are missing, too many or of another shape."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from kvtui.base.findings import Finding
from kvtui.header.reader import Header, HeaderError, SkippedArray
from kvtui.model.asked import Numbers, asked_misfit
from kvtui.model.families import FAMILIES
from kvtui.model.keys import Keys
from kvtui.model.required import required_keys
from kvtui.model.spec import Layer
from kvtui.model.tensor_rules import Dims, Sizes, has_all_rules, has_rules, misfit, misfit_scale, wrong_shape
from kvtui.model.tensors import block_of

UNKNOWN_ARCHITECTURE = "unknown-architecture"
MAX_EXPERTS = 1024  # src/llama-hparams.h, LLAMA_MAX_EXPERTS

# src/llama-model.cpp, load_hparams: keys that every architecture reads where they are there
_TYPES = {
    "embedding_length_out": "u32",
    "attention.causal": "bool",
    "pooling_type": "u32",
    "expert_group_count": "u32",
    "expert_group_used_count": "u32",
    "rope.scaling.finetuned": "bool",
    "rope.scaling.original_context_length": "u32",
    "rope.freq_base": "f32",
    "rope.scaling.type": "str",
    "rope.scaling.factor": "f32",
    "rope.scaling.attn_factor": "f32",
    "attention.layer_norm_epsilon": "f32",
    "attention.layer_norm_rms_epsilon": "f32",
}
# src/llama-model-loader.cpp and src/llama-vocab.cpp: keys without the architecture
_GENERAL_TYPES = {
    "general.name": "str",
    "general.file_type": "u32",
    "tokenizer.ggml.model": "str",
    "tokenizer.ggml.pre": "str",
    "tokenizer.ggml.tokens": "[str]",
    "tokenizer.ggml.scores": "[f32]",
    "tokenizer.ggml.token_type": "[i32]",
}
_ROPE_SCALING = ("none", "linear", "yarn", "longrope")  # src/llama-model.cpp, LLAMA_ROPE_SCALING_TYPES
# src/llama-vocab.cpp, llama_vocab::impl::load
_NO_VOCABULARY = ("no_vocab", "none")
_OF_BLOCKS = ("blk.", "enc.blk.", "dec.blk.")  # llama-arch.cpp, LLM_TENSOR_NAMES; T5 has the two last alone
_TOKENIZERS = (*_NO_VOCABULARY, "llama", "bert", "gpt2", "hybriddna", "whitespace", "t5", "rwkv", "test", "plamo2", "gemma4")
_NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")  # of every architecture that has them
# src/models/deepseek2.cpp, load_arch_hparams: the lite models have no low rank of Q
_Q_LORA_UNLESS_LITE = ("deepseek2", "mistral4")
_LITE_BLOCKS, _LITE_WITH_VOCABULARY = (26, 27), (48, 128256)
_ROT_IS_HEAD = ("llama", "deci", "falcon", "llama-embed")  # src/llama-model.cpp, load_hparams: "invalid n_rot"


class Loading:
    """The questions load_hparams, the vocabulary and load_tensors ask of a header, in that order."""

    def __init__(self, header: Header, architecture: str, layers: tuple[Layer, ...], n_layer: int) -> None:
        """`n_layer`: blocks of the file without MTP blocks."""
        self.header, self.architecture, self.layers, self.n_layer = header, architecture, layers, n_layer
        self.keys = Keys(header, architecture)

    def refusal(self) -> Finding | None:
        """The first thing for which the file would be refused."""
        if self.architecture not in FAMILIES:
            return Finding(
                UNKNOWN_ARCHITECTURE, "error", f"unknown model architecture: llama.cpp b11434 has no {self.architecture!r:.80}"
            )
        checks = (self._types, self._required, self._experts, self._rope, self._tokenizer, self._blocks, self._tensors)
        try:
            return next((Finding(code, "error", says) for check in checks for code, says in check()), None)
        except HeaderError as e:  # a key that only these checks read
            return Finding("wrong-key", "error", str(e))

    @cached_property
    def _there(self) -> Mapping[str, Dims]:
        return {t.name: t.dims for t in self.header.tensors}

    @property
    def _mtp_only(self) -> bool:
        """src/models/glm4-moe.cpp and others: the file holds MTP blocks alone, which load beside another file's model."""
        return self.n_layer < self._number("block_count") and "blk.0.attn_norm.weight" not in self._there

    def _number(self, key: str, default: int = 0) -> int:
        return self.keys.number(key, default)

    def _types(self) -> Iterator[tuple[str, str]]:
        """llama_model_loader::get_key and get_arr (src/llama-model-loader.cpp)."""
        wanted = {**_GENERAL_TYPES, **{f"{self.architecture}.{key}": kind for key, kind in _TYPES.items()}}
        required = set(required_keys(self.architecture))
        epsilons = {key for key in wanted if key.endswith("_epsilon")}
        if epsilons & required:  # the other one is not read
            wanted = {key: kind for key, kind in wanted.items() if key in required or key not in epsilons}
        for key, kind in wanted.items():
            have = self.header.types.get(key, kind)
            if have != kind:
                yield "wrong-key", f"key {key} has wrong type {have} but expected type {kind}"

    def _required(self) -> Iterator[tuple[str, str]]:
        """load_hparams of src/llama-model.cpp, load_arch_hparams of src/models."""
        wanted = list(required_keys(self.architecture))
        lite = self.n_layer in _LITE_BLOCKS or (self.n_layer, self._vocabulary()) == _LITE_WITH_VOCABULARY
        if self.architecture in _Q_LORA_UNLESS_LITE and not lite:
            wanted.append(f"{self.architecture}.attention.q_lora_rank")
        for key in wanted:
            if key not in self.header.metadata:
                yield "missing-key", f"the key {key} is missing"

    def _experts(self) -> Iterator[tuple[str, str]]:
        """src/llama-model.cpp, load_hparams: its assertions on experts."""
        experts, n_all = self._number("expert_count"), self._number("block_count")
        used = max(self.keys.per_block("expert_used_count", n_all, (0,)))
        if self.architecture in ("hunyuan_vl", "hunyuan-dense") and experts <= 1:
            experts = used = 0
        groups, groups_used = self._number("expert_group_count"), self._number("expert_group_used_count")
        code = "experts"
        if experts > MAX_EXPERTS:
            yield code, f"the model has {experts} experts; llama.cpp takes {MAX_EXPERTS}"
        if used > experts:
            yield code, f"a token takes {used} experts of {experts}"
        if experts and not used:
            yield code, f"the model has {experts} experts and a token takes none of them"
        if groups and groups >= experts:
            yield code, f"the model has {groups} groups of experts and {experts} experts"
        if experts and groups > 1 and (experts % groups or not 0 < groups_used < groups):
            yield code, f"{experts} experts in {groups} groups, of which {groups_used} are taken, do not add up"

    def _rope(self) -> Iterator[tuple[str, str]]:
        """src/llama-model.cpp, load_hparams."""
        scaling = self.header.metadata.get(f"{self.architecture}.rope.scaling.type", "linear")
        if scaling not in _ROPE_SCALING:
            yield "rope-scaling", f"{self.architecture}.rope.scaling.type is {scaling!r:.80}, which llama.cpp does not know"
        if self.architecture in _ROT_IS_HEAD and self.layers[0].n_head:
            have, want = self._number("rope.dimension_count", self.layers[0].head_k), self.layers[0].head_k
            if have != want:
                yield "rope-dimensions", f"invalid n_rot: {have}, expected {want}"

    def _tokenizer(self) -> Iterator[tuple[str, str]]:
        """src/llama-vocab.cpp, llama_vocab::impl::load."""
        model = self.header.metadata.get("tokenizer.ggml.model")
        if model is None:
            yield "missing-key", "the key tokenizer.ggml.model is missing"
        elif model not in _TOKENIZERS:
            yield "unknown-tokenizer", f"unknown tokenizer: {model!r:.80}"
        elif model not in _NO_VOCABULARY and "tokenizer.ggml.tokens" not in self.header.metadata:
            yield "missing-key", "cannot find tokenizer vocab in model file: tokenizer.ggml.tokens"

    def _vocabulary(self) -> int:
        if self.header.metadata.get("tokenizer.ggml.model") in _NO_VOCABULARY:
            return self._number("vocab_size")
        return _length(self.header, "tokenizer.ggml.tokens")

    def _blocks(self) -> Iterator[tuple[str, str]]:
        """load_arch_tensors of every architecture asks for tensors of each block, and of no further one."""
        n_all = self._number("block_count")
        numbered = {name: b for name in self._there if (b := block_of(name)) is not None}
        blocks = {b for name, b in numbered.items() if name.startswith(_OF_BLOCKS)}
        beyond = max(numbered.values(), default=0)
        if beyond >= n_all:
            yield "unused-tensor", f"there are tensors of block {beyond}, and the model has {n_all} blocks"
        lost = min(set(range(self.n_layer)) - blocks, default=None)
        if lost is not None and not self._mtp_only and not has_rules(self.architecture):
            yield "missing-tensor", f"there is no tensor of block {lost}, and the model has {n_all} blocks"

    def _tensors(self) -> Iterator[tuple[str, str]]:
        checks = [self._embedding_sizes, self._scales, self._asked]
        if has_rules(self.architecture):
            checks = [self._table] if has_all_rules(self.architecture) else [self._table, self._scales, self._asked]
        for check in checks:
            yield from check()

    def _table(self) -> Iterator[tuple[str, str]]:
        lead = self._number("leading_dense_block_count")
        blocks = [layer.is_recurrent for layer in self.layers[: self.n_layer]]
        found = None if self._mtp_only else misfit(self.architecture, blocks, lead, self._sizes(), self._there)
        if found:
            yield found

    def _scales(self) -> Iterator[tuple[str, str]]:
        if wrong := misfit_scale(self._there, self._number("expert_count")):
            yield "wrong-shape", wrong

    def _asked(self) -> Iterator[tuple[str, str]]:
        start = f"{self.architecture}."
        keys = {key.removeprefix(start): value for key, value in self.header.metadata.items() if key.startswith(start)}
        recurrent = tuple(layer.is_recurrent for layer in self.layers[: self.n_layer])
        numbers = Numbers(keys, self._vocabulary(), recurrent)
        found = None if self._mtp_only else asked_misfit(self.architecture, numbers, self._there)
        if found:
            yield found

    def _embedding_sizes(self) -> Iterator[tuple[str, str]]:
        embd = self.keys.number("embedding_length")
        common = {"token_embd.weight": (embd, self._vocabulary()), "output_norm.weight": (embd,), "output_norm.bias": (embd,)}
        for il in range(self.n_layer):
            common |= {f"blk.{il}.{name}.weight": (embd,) for name in _NORMS}
            common |= {f"blk.{il}.{name}.weight": (embd, 0) for name in self._empty(il)}
        for name, want in common.items():
            wrong = wrong_shape(name, want, self._there[name]) if name in self._there else None
            if wrong:
                yield "wrong-shape", wrong

    def _empty(self, il: int) -> Sequence[str]:
        """Tensors of a block that would have no rows: the router of a model without experts, attention without heads."""
        layer = self.layers[il]
        routers = () if self._number("expert_count") else ("ffn_gate_inp",)
        if layer.is_recurrent:  # linear attention has sizes of its own
            return routers
        queries = () if layer.n_head else ("attn_q", "attn_qkv")
        return (*routers, *queries, *(() if layer.n_head_kv else ("attn_k", "attn_v")))

    def _sizes(self) -> Sizes:
        first, n_all = self.layers[0], self._number("block_count")
        used = max(self.keys.per_block("expert_used_count", n_all, (0,)))
        expert_ff = self.keys.per_block("expert_feed_forward_length", n_all, (0,) * n_all)[0]
        return Sizes(
            embd=self.keys.number("embedding_length"),
            vocab=self._vocabulary(),
            ctx=self.keys.number("context_length"),
            heads=first.n_head,
            heads_kv=first.n_head_kv,
            head_k=first.head_k,
            q=first.head_k * first.n_head,
            k=first.n_embd_k_gqa,
            v=first.n_embd_v_gqa,
            rot=self._number("rope.dimension_count", first.head_k) if first.n_head else 0,
            ff=first.n_ff,
            ff_exp=expert_ff or (first.n_ff // used if used else 0),
            ff_shexp=self._number("expert_shared_feed_forward_length"),
            experts=self._number("expert_count"),
            n_shared=self._number("expert_shared_count"),
            lora_kv=self._number("attention.kv_lora_rank"),
            labels=_length(self.header, f"{self.architecture}.classifier.output_labels") or 1,
        )


def _length(header: Header, key: str) -> int:
    value = header.metadata.get(key, ())
    return value.length if isinstance(value, SkippedArray) else len(value) if isinstance(value, tuple) else 0
