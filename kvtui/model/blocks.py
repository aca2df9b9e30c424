"""Which caches each block has and how wide they are: the per-block half of llama.cpp's load_hparams and create_memory."""

from dataclasses import dataclass, replace

from kvtui.header.reader import HeaderError
from kvtui.model.families import GLM_FULL_INDEXERS, Family, Window
from kvtui.model.keys import Keys
from kvtui.model.spec import Layer

MAX_LAYERS = 512  # src/llama-hparams.h, LLAMA_MAX_LAYERS
CSA_RATIO, HCA_RATIO = 4, 128  # src/llama-kv-cache-dsv4.cpp: tokens a compressed cell
_GLM_LONG_CONTEXT = 1048576  # src/models/glm-dsa.cpp: from GLM 5.2 on, most blocks share another's indexer

Flags = tuple[bool, ...]


@dataclass(frozen=True)
class _Shape:
    """What holds for all blocks; a count `all` has MTP blocks, `trunk` has not."""

    all: int
    trunk: int
    n_embd: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    ff: tuple[int, ...]
    head_k: int
    head_v: int


def _shape(keys: Keys, family: Family, n_all: int, n_trunk: int) -> _Shape:
    n_embd, zero = keys.number("embedding_length"), (0,) * n_all
    heads = keys.per_block("attention.head_count", n_all, zero)
    head = n_embd // heads[0] if heads[0] else 0
    read = bool(heads[0]) or family.head_without_heads
    head_k = keys.number("attention.key_length", head) if read else 0
    head_v = keys.number("attention.value_length", head) if read else 0
    return _Shape(
        all=n_all,
        trunk=n_trunk,
        n_embd=n_embd,
        heads=heads,
        kv_heads=keys.per_block("attention.head_count_kv", n_all, heads),
        ff=keys.per_block("feed_forward_length", n_all, zero),
        head_k=head_k,
        head_v=keys.number("attention.kv_lora_rank") if family.head_v_is_kv_lora_rank else head_v,
    )


def _recurrent(keys: Keys, family: Family, shape: _Shape) -> Flags:
    """is_recr_impl."""
    if family.recurrent is None:
        return (False,) * shape.all
    if family.recurrent == "all":
        return (True,) * shape.all
    if family.recurrent == "interval":
        if "attention.recurrent_layers" in keys:
            return tuple(map(bool, keys.per_block("attention.recurrent_layers", shape.all, ())))
        interval = max(keys.number("full_attention_interval", family.interval), 1)
        return tuple(il < shape.trunk and (il + 1) % interval != 0 for il in range(shape.all))
    no_ff = family.recurrent == "no-kv-heads-no-ff"
    return tuple(il < shape.trunk and not shape.kv_heads[il] and not (no_ff and shape.ff[il]) for il in range(shape.all))


def _window(keys: Keys, window: Window | None, shape: _Shape, recurrent: Flags) -> tuple[int, Flags]:
    """(n_swa, is_swa_impl): load_swa_pattern in src/llama-model.cpp, set_swa_pattern in src/llama-hparams.cpp."""
    dense = (False,) * shape.all
    if window is None or (window.only_layers is not None and shape.trunk != window.only_layers):
        return 0, dense
    given = "attention.sliding_window" in keys
    size = keys.number("attention.sliding_window", window.size)
    if (window.needs_key and not (given and size)) or (window.unless_zero and given and not size):
        return 0, dense
    if window.fixed_size:
        size = window.size
    if window.everywhere_if and keys.number(window.everywhere_if, 0):
        return size, (True,) * shape.all
    if window.attention_blocks:
        return size, tuple(il < shape.trunk and not recurrent[il] for il in range(shape.all))
    pattern = keys.flags("attention.sliding_window_pattern", shape.all) if window.from_header else None
    if pattern is not None:
        return size, pattern
    if window.period is None:
        raise HeaderError(f"the key {keys.architecture}.attention.sliding_window_pattern is missing")
    period = keys.number("attention.sliding_window_pattern", window.period) if window.from_header else window.period
    offset = 0 if window.dense_first else 1
    slides = tuple(period == 0 or (il + offset) % period != 0 for il in range(shape.trunk))
    # deepseek4 marks its MTP blocks as sliding, set_swa_pattern marks none
    return size, slides + (not window.from_header,) * (shape.all - shape.trunk)


# src/llama-hparams.cpp, n_embd_r: convolutions of Q, K and V, and the tokens they look back where the header does not say
_KDA_PARTS, _KDA_PAST = 3, 3


def _state(keys: Keys, family: Family, shape: _Shape) -> int:
    """f32 values of recurrent state a block and slot (src/llama-hparams.cpp, n_embd_r and n_embd_s)."""
    heads, kernel = shape.heads[0], keys.number("ssm.conv_kernel", 0)
    if family.state == "wkv":
        return (keys.number("token_shift_count", 2) + keys.number("wkv.head_size")) * shape.n_embd
    if family.state == "shortconv":
        return shape.n_embd * max(keys.number("shortconv.l_cache") - 1, 0)
    if family.state == "kda":
        head = keys.number("kda.head_dim")
        return (_KDA_PARTS * (kernel - 1 if kernel else _KDA_PAST) + head) * heads * head
    if family.state == "linear":
        return shape.head_k * shape.head_k * heads
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    groups = keys.number("ssm.group_count", 0) if family.state == "ssm" else 0
    return max(kernel - 1, 0) * (inner + 2 * groups * state) + state * inner


def _ple_history(keys: Keys, n_embd: int) -> tuple[frozenset[int], int]:
    """Blocks with a PLE history and its values (src/llama-hparams.cpp, ple_conv_state)."""
    blocks = frozenset(keys.array("ple.layers") or ())
    rows = max(keys.number("ple.conv_kernel", 1) - 1, 0) * keys.number("ple.ngram_size", 0) if blocks else 0
    return blocks, rows * keys.number("hyper_connection.count", 0) * n_embd


@dataclass(frozen=True)
class _Indexers:
    """Indexer caches: `full` the blocks that have keys of their own, `sparse` the blocks that read only what is picked."""

    full: Flags
    sparse: Flags
    key: int  # values of a key
    top_k: int  # cells picked at each token


def _indexers(keys: Keys, family: Family, shape: _Shape) -> _Indexers:
    """filter_lid and filter_idx of create_memory, is_indexer_full_impl of load_arch_hparams."""
    rule, none = family.indexer, (False,) * shape.all
    top_k = keys.number("attention.indexer.top_k", 0) if rule else 0
    if rule is None or (rule.optional and not top_k):
        return _Indexers(none, none, 0, 0)
    key = keys.number("attention.indexer.key_length", 0)
    pooled = not rule.pool_by_ratios or any(keys.per_block("attention.compress_ratios", shape.all, (0,)))
    trunk = tuple(il < shape.trunk for il in range(shape.all))
    if rule.after_dense_lead:
        lead = keys.number("leading_dense_block_count", 0)
        full = sparse = tuple(il >= lead for il in range(shape.all))
    else:
        full, sparse = trunk, trunk if pooled else none
    if rule.types:
        default = tuple(_full_by_default(keys, rule.default_full, il) for il in range(shape.trunk))
        full = tuple(map(bool, keys.per_block("attention.indexer.types", shape.trunk, default)))
        full += none[shape.trunk :]
    if rule.top_k_blocks:
        top_k *= keys.number("attention.indexer.block_size")
    return _Indexers(full, sparse, key * rule.pool_row if pooled else key, top_k)


def _full_by_default(keys: Keys, rule: bool | str, il: int) -> bool:
    if rule == "glm":
        return keys.number("context_length") < _GLM_LONG_CONTEXT or il in GLM_FULL_INDEXERS
    return bool(rule)


def _attends(family: Family, shape: _Shape, recurrent: Flags, il: int) -> bool:
    """Whether block `il` has K/V in the main context: has_kv and create_memory's filters."""
    if family.memory in ("none", "recurrent"):
        return False
    if family.recurrent == "no-kv-heads-no-ff" and shape.ff[il]:
        return False
    # a model of MTP blocks alone is not filtered
    if il >= shape.trunk > 0 and not family.mtp_cached:
        return False
    return family.attention_everywhere or not recurrent[il]


def _kv_blocks(keys: Keys, family: Family, n_all: int) -> int:
    """n_layer_kv_from_start: blocks from here on read an earlier block's K/V."""
    if family.kv_from_start is not None:
        return family.kv_from_start
    return max(n_all - keys.number("attention.shared_kv_layers", 0), 0) if family.shared_kv_layers else n_all


def read_blocks(keys: Keys, family: Family, n_all: int, n_trunk: int, mtp: bool) -> tuple[tuple[Layer, ...], int, int]:
    """(blocks, n_swa, cells a sparse block picks). `n_all` blocks in the file, MTP blocks after `n_trunk`; `mtp`: they
    are loaded. HeaderError where llama.cpp would refuse the file."""
    shape = _shape(keys, family, n_all, n_trunk)
    recurrent = _recurrent(keys, family, shape)
    n_swa, slides = _window(keys, family.window, shape, recurrent)
    swa_k = keys.number("attention.key_length_swa", shape.head_k)
    swa_v = keys.number("attention.value_length_swa", shape.head_v)
    state = _state(keys, family, shape) if any(recurrent) else 0
    ple_blocks, ple = _ple_history(keys, shape.n_embd)
    indexers = _indexers(keys, family, shape)
    kv_blocks = _kv_blocks(keys, family, n_all)
    ratios = _ratios(keys, n_all) if family.memory == "dsv4" else (0,) * n_all

    def block(il: int) -> Layer:
        attends = il < kv_blocks and _attends(family, shape, recurrent, il)
        # hparams_lid of llama_kv_cache_dsa: only the size of full-attention keys is replaced by the indexer's
        key = swa_k if slides[il] and family.memory != "dsv4" else indexers.key
        indexes = attends and indexers.full[il] and (family.memory != "dsv4" or ratios[il] == CSA_RATIO)
        drafts = mtp and il >= n_trunk
        return Layer(
            index=il,
            n_head=shape.heads[il],
            n_head_kv=shape.kv_heads[il],
            head_k=swa_k if slides[il] else shape.head_k,
            head_v=swa_v if slides[il] else shape.head_v,
            n_ff=shape.ff[il],
            is_swa=slides[il],
            is_recurrent=recurrent[il],
            loaded=il < n_trunk or mtp,
            has_cache=attends,
            state=state + (ple if il in ple_blocks else 0) if recurrent[il] and il < n_trunk else 0,
            index_k=key if indexes else 0,
            index_v=shape.head_v if indexes and family.indexer and family.indexer.keeps_v else 0,
            is_sparse=attends and indexers.sparse[il] and (ratios[il] == CSA_RATIO or not slides[il]),
            compress_ratio=ratios[il] if attends and ratios[il] in (CSA_RATIO, HCA_RATIO) else 0,
            drafts=drafts,
            draft_index_k=indexers.key if drafts and family.indexer and family.indexer.in_mtp else 0,
        )

    layers = [block(il) for il in range(n_all)]
    if family.router_block:  # src/models/granite-switch.cpp: one block more, with one head
        layers.append(Layer(n_all, 1, 1, shape.head_k, shape.head_v, 0, False, False, True, has_cache=True))
    if family.loops:  # src/models/nanbeige.cpp: the file's blocks run num_loops times, each with a cache of its own
        loops = max(keys.number("num_loops", 1), 1)
        if loops * n_all > MAX_LAYERS:
            raise HeaderError(f"the model loops its blocks {loops} times; llama.cpp takes {MAX_LAYERS} blocks in all")
        layers = [replace(layers[i % n_all], index=i) for i in range(n_all * loops)]
    return tuple(layers), n_swa, indexers.top_k


def _ratios(keys: Keys, n_all: int) -> tuple[int, ...]:
    """dsv4_compress_ratios (src/models/deepseek4.cpp): may be longer than the blocks."""
    if "attention.compress_ratios" not in keys:
        raise HeaderError(f"the key {keys.architecture}.attention.compress_ratios is missing")
    ratios = keys.array("attention.compress_ratios") or ()
    if len(ratios) < n_all:
        raise HeaderError(f"the key {keys.architecture}.attention.compress_ratios has {len(ratios)} entries for {n_all} blocks")
    return ratios[:n_all]
