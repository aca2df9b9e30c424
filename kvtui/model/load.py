"""From a header to a ModelSpec: llama.cpp's load_hparams, driven by the records of families.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtui.header.reader import Header, HeaderError, SkippedArray
from kvtui.header.source import open_header
from kvtui.model.families import FAMILIES, GLM_FULL_INDEXERS, PLAIN, Family, Window
from kvtui.model.spec import Layer, ModelSpec
from kvtui.model.tensors import classify

MAX_LAYERS = 512  # src/llama-hparams.h, LLAMA_MAX_LAYERS
MTP = "draft-mtp"  # the --spec-type that loads MTP blocks
_CSA_RATIO, _HCA_RATIO = 4, 128  # src/llama-kv-cache-dsv4.cpp


def load_model(path: Path, spec_types: Sequence[str] = ()) -> ModelSpec:
    """The model at `path`. Raises HeaderError with one sentence."""
    return model_from_header(open_header(path), path.stem, spec_types)


@dataclass(frozen=True)
class Keys:
    """Metadata of one architecture, as llama_model_loader's get_key, get_arr and get_key_or_arr."""

    header: Header
    architecture: str

    def number(self, key: str, default: int | None = None) -> int:
        """`ARCH.key` as an integer; HeaderError where it is required and missing."""
        value = self.header.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int):
            if value is None:
                raise HeaderError(f"the key {self.architecture}.{key} is missing")
            raise HeaderError(f"the key {self.architecture}.{key} is no integer")
        if not 0 <= value < 2**32:
            raise HeaderError(f"the key {self.architecture}.{key} is {value}, out of range")
        return value

    def array(self, key: str) -> tuple[int, ...] | None:
        """`ARCH.key` as an array of integers or booleans, or None."""
        value = self.header.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, tuple) and all(isinstance(x, int) for x in value):
            return tuple(int(x) for x in value)
        return None

    def per_layer(self, key: str, n: int, default: Sequence[int]) -> tuple[int, ...]:
        """get_key_or_arr: a number for every block, or an array of at least `n`."""
        array = self.array(key)
        if array is not None:
            if len(array) < n:
                raise HeaderError(f"the key {self.architecture}.{key} has {len(array)} entries for {n} blocks")
            return array[:n]
        if f"{self.architecture}.{key}" not in self.header.metadata:
            return tuple(default)
        return (self.number(key),) * n


def model_from_header(header: Header, fallback_name: str, spec_types: Sequence[str] = ()) -> ModelSpec:
    """src/llama-model.cpp, load_hparams and load_arch_hparams. `fallback_name` names a model without general.name."""
    architecture = header.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise HeaderError("the key general.architecture is missing: this is no model llama.cpp can load")
    keys, family = Keys(header, architecture), FAMILIES.get(architecture, PLAIN)
    n_layer_all = keys.number("block_count")
    if not 0 < n_layer_all <= MAX_LAYERS:
        raise HeaderError(f"the model has {n_layer_all} blocks; llama.cpp takes 1 to {MAX_LAYERS}")
    n_nextn = min(keys.number("nextn_predict_layers", 0), n_layer_all)
    if family.nextn_needs_tensor and not _has(header, f"blk.{n_layer_all - n_nextn}.nextn.eh_proj.weight"):
        n_nextn = 0
    n_layer = n_layer_all - n_nextn
    layers, n_swa = _layers(keys, family, n_layer_all, n_layer, mtp := bool(n_nextn) and MTP in spec_types)
    n_expert = keys.number("expert_count", 0)
    n_used = max(keys.per_layer("expert_used_count", n_layer_all, (0,)))
    name = header.metadata.get("general.name")
    return ModelSpec(
        architecture=architecture,
        name=name if isinstance(name, str) and name.strip() else fallback_name,
        family=family,
        known=architecture in FAMILIES,
        n_layer_all=len(layers),
        n_layer=n_layer * (len(layers) // n_layer_all if family.loops else 1),
        n_ctx_train=keys.number("context_length"),
        n_embd=keys.number("embedding_length"),
        n_vocab=_vocabulary(keys),
        n_expert=n_expert,
        n_expert_used=n_used,
        is_mla=_is_mla(keys),
        n_swa=n_swa,
        top_k=keys.number("attention.indexer.top_k", 0) if family.indexer else 0,
        layers=layers,
        tensors=classify(header, n_layer, n_expert, n_used, mtp or family.router_block),
        tied_output=not _has(header, "output.weight") and _has(header, "token_embd.weight"),
        mtp=mtp,
        header=header,
    )


def _has(header: Header, name: str) -> bool:
    return any(t.name == name for t in header.tensors)


def _is_mla(keys: Keys) -> bool:
    """llama-hparams.cpp, is_mla."""
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


def _recurrent(keys: Keys, family: Family, n_all: int, n_layer: int, kv: Sequence[int], ff: Sequence[int]) -> list[bool]:
    """is_recr_impl."""
    if family.recurrent is None:
        return [False] * n_all
    if family.recurrent == "all":
        return [True] * n_all
    if family.recurrent == "interval":
        given = keys.array("attention.recurrent_layers")
        if given is not None:
            return [bool(x) for x in given[:n_all]] + [False] * (n_all - len(given))
        interval = max(keys.number("full_attention_interval", family.interval), 1)
        return [il < n_layer and (il + 1) % interval != 0 for il in range(n_all)]
    no_ff = family.recurrent == "no-kv-heads-no-ff"
    return [il < n_layer and kv[il] == 0 and not (no_ff and ff[il]) for il in range(n_all)]


def _window(keys: Keys, window: Window | None, n_all: int, n_layer: int, recurrent: list[bool]) -> tuple[int, list[bool]]:
    """(n_swa, is_swa_impl): load_swa_pattern in src/llama-model.cpp, set_swa_pattern in src/llama-hparams.cpp."""
    dense = [False] * n_all
    if window is None or (window.only_layers is not None and n_layer != window.only_layers):
        return 0, dense
    given = f"{keys.architecture}.attention.sliding_window" in keys.header.metadata
    size = keys.number("attention.sliding_window", window.size)
    if (window.needs_key and not (given and size)) or (window.unless_zero and given and not size):
        return 0, dense
    if window.fixed_size:
        size = window.size
    if window.attention_blocks:
        return size, [il < n_layer and not r for il, r in enumerate(recurrent)]
    pattern = keys.array("attention.sliding_window_pattern") if window.from_header else None
    if pattern is not None:
        return size, [il < len(pattern) and bool(pattern[il]) for il in range(n_all)]
    if window.period is None:
        raise HeaderError(f"the key {keys.architecture}.attention.sliding_window_pattern is missing")
    period = window.period
    if window.from_header:
        period = keys.number("attention.sliding_window_pattern", period)
    offset = 0 if window.dense_first else 1
    slides = [period == 0 or (il + offset) % period != 0 for il in range(n_layer)]
    # deepseek4 marks its MTP blocks as sliding, set_swa_pattern marks none
    return size, slides + [not window.from_header] * (n_all - n_layer)


def _state(keys: Keys, family: Family, n_embd: int, n_head: int, head_k: int) -> int:
    """f32 values of recurrent state a slot (llama-hparams.cpp, n_embd_r and n_embd_s)."""
    wkv = keys.number("wkv.head_size", 0)
    if wkv:
        return keys.number("token_shift_count", 2) * n_embd + n_embd * wkv
    conv = max(keys.number("ssm.conv_kernel", 0) - 1, 0)
    inner, state = keys.number("ssm.inner_size", 0), keys.number("ssm.state_size", 0)
    shortconv, kda = keys.number("shortconv.l_cache", 0), keys.number("kda.head_dim", 0)
    if shortconv:
        rolling = n_embd * (shortconv - 1)
    elif kda:
        rolling = 3 * (conv if keys.number("ssm.conv_kernel", 0) else 3) * n_head * kda
    else:
        rolling = conv * (inner + 2 * keys.number("ssm.group_count", 0) * state)
    if kda:
        return rolling + kda * kda * n_head
    if family.state_head_is_key_length:
        return rolling + head_k * head_k * n_head
    return rolling + state * inner


def _ple_history(keys: Keys, n_embd: int) -> tuple[frozenset[int], int]:
    """Blocks with a PLE history and its values (llama-hparams.cpp, ple_conv_state)."""
    blocks = keys.array("ple.layers") or ()
    if not blocks:
        return frozenset(), 0
    rows = max(keys.number("ple.conv_kernel", 1) - 1, 0) * keys.number("ple.ngram_size", 0)
    return frozenset(blocks), rows * keys.number("hyper_connection.count", 0) * n_embd


def _full_indexers(keys: Keys, family: Family, n_layer: int, dense_lead: int) -> list[bool]:
    """Blocks that hold indexer keys (create_memory's filter_lid and filter_idx)."""
    rule = family.indexer
    if rule is None or (rule.optional and not keys.number("attention.indexer.top_k", 0)):
        return [False] * n_layer
    if rule.after_dense_lead:
        return [il >= dense_lead for il in range(n_layer)]
    if not rule.types:
        return [True] * n_layer
    if rule.default_full == "glm":
        long = keys.number("context_length") >= 1048576
        default = [GLM_FULL_INDEXERS[il] if long else True for il in range(n_layer)]
    else:
        default = [bool(rule.default_full)] * n_layer
    given = keys.array("attention.indexer.types")
    if given is None:
        return default
    return [bool(given[il]) if il < len(given) else default[il] for il in range(n_layer)]


def _layers(keys: Keys, family: Family, n_all: int, n_layer: int, mtp: bool) -> tuple[tuple[Layer, ...], int]:
    n_embd = keys.number("embedding_length")
    zero = (0,) * n_all
    heads = keys.per_layer("attention.head_count", n_all, zero)
    kv_heads = keys.per_layer("attention.head_count_kv", n_all, heads)
    ff = keys.per_layer("feed_forward_length", n_all, zero)
    head = n_embd // heads[0] if heads[0] else 0
    head_k = keys.number("attention.key_length", head) if heads[0] else 0
    head_v = keys.number("attention.value_length", head) if heads[0] else 0
    if family.head_v_is_kv_lora_rank:
        head_v = keys.number("attention.kv_lora_rank")
    head_k_swa = keys.number("attention.key_length_swa", head_k)
    head_v_swa = keys.number("attention.value_length_swa", head_v)
    recurrent = _recurrent(keys, family, n_all, n_layer, kv_heads, ff)
    n_swa, slides = _window(keys, family.window, n_all, n_layer, recurrent)
    n_kv = n_all
    if family.kv_from_start is not None:
        n_kv = family.kv_from_start
    elif family.shared_kv_layers:
        n_kv = n_all - keys.number("attention.shared_kv_layers", 0)
    state = _state(keys, family, n_embd, heads[0], head_k)
    ple_blocks, ple = _ple_history(keys, n_embd)
    full = _full_indexers(keys, family, n_layer, keys.number("leading_dense_block_count", 0))
    index_k = keys.number("attention.indexer.key_length", 0)
    if family.indexer and family.indexer.kpool_row > 1 and _kpool(keys, n_all):
        index_k *= family.indexer.kpool_row
    ratios = (keys.array("attention.compress_ratios") or zero) if family.memory == "dsv4" else zero
    # create_memory filters MTP blocks but where a hybrid's default filters see only is_recr, or there is no filter
    unfiltered = (family.memory == "hybrid" and family.recurrent in ("no-kv-heads", "no-kv-heads-no-ff")) or (
        family.memory in ("msa", "dsa") and bool(family.indexer and family.indexer.optional)
    )

    def attends(il: int) -> bool:
        if family.memory in ("none", "recurrent") or il >= n_kv:
            return False
        if il >= n_layer and not (mtp or unfiltered):
            return False
        if family.recurrent == "no-kv-heads-no-ff" and ff[il]:
            return False
        return family.attention_everywhere or not recurrent[il]

    def indexes(il: int) -> bool:
        if not (il < n_layer and full[il] and attends(il)):
            return False
        # sliding blocks keep no indexer keys, but for deepseek4, whose compressed caches are apart from its window
        return ratios[il] == _CSA_RATIO if family.memory == "dsv4" else not slides[il]

    layers = [
        Layer(
            index=il,
            n_head=heads[il],
            n_head_kv=kv_heads[il],
            head_k=head_k_swa if slides[il] else head_k,
            head_v=head_v_swa if slides[il] else head_v,
            n_ff=ff[il],
            is_swa=slides[il],
            is_recurrent=recurrent[il],
            loaded=il < n_layer or mtp,
            has_cache=attends(il),
            state=state + (ple if il in ple_blocks else 0) if recurrent[il] and il < n_layer else 0,
            index_k=index_k if indexes(il) else 0,
            index_v=head_v if indexes(il) and family.indexer and family.indexer.keeps_v else 0,
            compress_ratio=ratios[il] if ratios[il] in (_CSA_RATIO, _HCA_RATIO) and il < n_layer else 0,
        )
        for il in range(n_all)
    ]
    if family.router_block:  # src/models/granite-switch.cpp: one block more, with one head
        layers.append(Layer(n_all, 1, 1, head_k, head_v, 0, False, False, True, has_cache=True))
    if family.loops:  # src/models/nanbeige.cpp: the file's blocks run num_loops times, each with a cache of its own
        from dataclasses import replace

        loops = max(keys.number("num_loops", 1), 1)
        if loops * n_all > MAX_LAYERS:
            raise HeaderError(f"the model loops its blocks {loops} times; llama.cpp takes {MAX_LAYERS} blocks in all")
        layers = [replace(layers[i % n_all], index=i) for i in range(n_all * loops)]
    return tuple(layers), n_swa


def _kpool(keys: Keys, n_all: int) -> bool:
    """Whether indexer keys are pooled: glm5-next by attention.indexer.kpool, qwen4exp by its compress ratios."""
    return bool(keys.number("attention.indexer.kpool", 0) or any(keys.per_layer("attention.compress_ratios", n_all, (0,))))
