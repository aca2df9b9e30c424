"""What each architecture of llama.cpp b11434 does with caches: one record an architecture, one field a rule.

Each record names the function it was read from: `load_arch_hparams` of src/models/SOURCE.cpp; which memory a model
gets is `llama_model::create_memory` in src/llama-model.cpp, which architectures are recurrent or hybrid
`llm_arch_is_recurrent` and `llm_arch_is_hybrid` in src/llama-arch.cpp. A plain record (the default) means full
attention in every block, heads as the header says, no further cache."""

from dataclasses import dataclass
from typing import Literal

from kvtui.base.build import Build

Memory = Literal[
    "kv",  # llama_kv_cache, or llama_kv_cache_iswa where a window is in use
    "none",  # encoders and diffusion models: no memory at all
    "recurrent",  # llama_memory_recurrent
    "hybrid",  # llama_memory_hybrid(_iswa): attention in some blocks, state in others
    "hybrid_idx",  # llama_memory_hybrid_idx: hybrid with a K-only indexer cache
    "dsa",  # llama_kv_cache_dsa(_iswa): an indexer cache beside the main one
    "msa",  # llama_kv_cache_msa
    "dsv4",  # llama_kv_cache_dsv4: raw window, two compressed caches, indexer, compressor states
]
Recurrent = Literal[
    "all",
    "no-kv-heads",  # is_recr_impl[il] = n_head_kv(il) == 0
    "no-kv-heads-no-ff",  # ... && n_ff(il) == 0; attention is in the other blocks without FFN
    "interval",  # all but every full_attention_interval-th, or the array attention.recurrent_layers
]
State = Literal[  # n_embd_r and n_embd_s of src/llama-hparams.cpp, by the keys load_arch_hparams reads
    "ssm",  # Mamba 2, gated delta net: convolution over the inner size and the groups
    "ssm-no-groups",  # Mamba 1
    "wkv",  # RWKV
    "shortconv",  # LFM2
    "kda",  # Kimi delta attention
    "linear",  # MiniMax-Text-01: a square of the head size a head
]


@dataclass(frozen=True)
class Window:
    """Sliding-window attention. `period` as set_swa_pattern (src/llama-hparams.cpp): every period-th block is dense,
    0 means every block slides. Keys in the header win over it (load_swa_pattern, src/llama-model.cpp)."""

    period: int | None = None  # None: the header must have the array attention.sliding_window_pattern
    dense_first: bool = False
    size: int = 0  # tokens where the header has no attention.sliding_window
    fixed_size: bool = False  # `size` whatever the header says
    needs_key: bool = False  # no window without a positive attention.sliding_window
    unless_zero: bool = False  # a window unless the key is there and 0
    attention_blocks: bool = False  # exactly the blocks that are not recurrent
    only_layers: int | None = None  # only in the model with this many blocks
    everywhere_if: str = ""  # every block slides where this key is positive
    from_header: bool = True  # whether load_swa_pattern or get_arr reads the header's pattern


@dataclass(frozen=True)
class Indexer:
    """Which blocks hold indexer keys. `types`: those the header's attention.indexer.types marks as full."""

    types: bool = False
    default_full: bool | Literal["glm"] = True  # without the key; "glm": GLM_5_2_DEFAULT_INDEXER_TYPES at 1M context
    after_dense_lead: bool = False
    optional: bool = False  # no indexer when attention.indexer.top_k is 0
    keeps_v: bool = False  # the indexer cache has V too where the model is no MLA (llama_kv_cache_msa)
    pool_row: int = 1  # head-size slots a cached row of a pooled indexer (indexer_kpool_row)
    pool_by_ratios: bool = False  # pooled only where attention.compress_ratios has a ratio, and dense attention where not
    top_k_blocks: bool = False  # top_k counts blocks of attention.indexer.block_size cells
    in_mtp: bool = False  # the MTP context has an indexer cache too (llama_memory_hybrid_idx)


@dataclass(frozen=True)
class Family:
    """Rules of one architecture. `source`: src/models/SOURCE.cpp."""

    source: str
    memory: Memory = "kv"
    window: Window | None = None
    recurrent: Recurrent | None = None
    state: State = "ssm"
    interval: int = 4  # default of full_attention_interval
    attention_everywhere: bool = False  # attention and state in the same blocks (falcon-h1)
    kv_from_start: int | None = None  # only the first n blocks have K/V
    shared_kv_layers: bool = False  # attention.shared_kv_layers blocks at the end have none
    head_v_is_kv_lora_rank: bool = False
    indexer: Indexer | None = None
    equal_types: bool = False  # K and V type must be equal although the model is no MLA
    no_flash_attention: bool = False  # llama_init_from_model forces it off
    router_block: bool = False  # one further block, with one head, for adapter routing
    loops: bool = False  # num_loops times the blocks of the file
    head_without_heads: bool = False  # head sizes are read although the first block has no head (plamo2)
    mtp: bool = False  # MTP blocks are loaded under --spec-type draft-mtp (ml.load_mtp); elsewhere never
    mtp_needs_tensor: bool = False  # MTP blocks count only where their tensors are in the file
    mtp_head_kept: bool = False  # their embeddings and head are loaded even without draft-mtp
    mtp_cached: bool = False  # create_memory does not filter them out of the main cache, loaded or not
    norm_named_embd: bool = False  # the output's norm is called token_embd_norm (LLM_TENSOR_OUTPUT_NORM_LFM2)
    since: Build | None = None  # the first build that is known to have the architecture, where that is not b11434
    rollback: bool = False  # llm_arch_supports_rs_rollback (src/llama-arch.cpp): drafting keeps further recurrent rows


_PLAIN = """
llama deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 qwen2moe
qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo codeshell orion internlm2 minicpm minicpm3
gemma starcoder2 xverse command-r dbrx olmo olmoe openelm arctic deepseek deepseek2-ocr chatglm
glm4 bitnet t5 jais jais2 nemotron exaone granite granitemoe chameleon plm bailingmoe bailingmoe2
dots1 arcee ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl smollm3 seed_oss grovemoe
apertus hrm_text minimax-m2 cogvlm pangu-embedded mistral3 paddleocr maincoder talkie qwen3tts
pockettts eagle3 llama-embed t5encoder
"""
_ENCODERS = """
bert jina-bert-v2 jina-bert-v3 nomic-bert nomic-bert-moe neo-bert eurobert wavtokenizer-dec dream llada
llada-moe rnd1 clef
"""
_SOURCES = {  # where the file's name is not the architecture's
    "deepseek2-ocr": "deepseek2ocr",
    "granitemoe": "granite-moe",
    "ernie4_5": "ernie4-5",
    "ernie4_5-moe": "ernie4-5-moe",
    "seed_oss": "seed-oss",
    "hunyuan_vl": "hunyuan-vl",
    "hrm_text": "hrm-text",
    "pangu-embedded": "pangu-embed",
}

FAMILIES: dict[str, Family] = {
    **{name: Family(_SOURCES.get(name, name)) for name in _PLAIN.split()},
    **{name: Family(_SOURCES.get(name, name), memory="none") for name in _ENCODERS.split()},
    # MTP blocks in an otherwise plain model
    "deepseek2": Family("deepseek2", mtp=True),
    "mistral4": Family("deepseek2", mtp=True),
    "glm4moe": Family("glm4-moe", mtp=True),
    "hy_v3": Family("hy-v3", mtp=True, mtp_head_kept=True),
    "k2-horizon": Family("k2-horizon", since=Build(11549)),
    "grok": Family("grok", no_flash_attention=True),
    # sliding windows
    "afmoe": Family("afmoe", window=Window(4, needs_key=True)),
    "cohere2": Family("cohere2", window=Window(4)),
    "cohere2moe": Family("cohere2moe", window=Window(4, dense_first=True), mtp=True, mtp_head_kept=True),
    "exaone4": Family("exaone4", window=Window(4, size=4096, only_layers=64)),
    "exaone-moe": Family("exaone-moe", window=Window(4, size=128)),
    "gemma-embedding": Family("gemma-embedding", memory="none", window=Window(6)),
    "gemma2": Family("gemma2", window=Window(2, size=4096)),
    "gemma3": Family("gemma3", window=Window(6, needs_key=True)),
    "gemma3n": Family("gemma3n", window=Window(5), kv_from_start=20),
    "gemma4": Family("gemma4", window=Window(None), shared_kv_layers=True),
    # its blocks read the cache of the model it drafts for (create_memory, share)
    "gemma4-assistant": Family("gemma4-assistant", memory="none", window=Window(None)),
    "gpt-oss": Family("openai-moe", window=Window(2)),
    "granite_swa": Family("granite-swa", window=Window(None)),
    "laguna": Family("laguna", window=Window(4, dense_first=True, needs_key=True)),
    "llama4": Family("llama4", window=Window(4, size=8192, fixed_size=True, unless_zero=True)),
    "maple": Family("maple", window=Window(None)),
    "mellum": Family("mellum", window=Window(4, needs_key=True)),
    "mimo2": Family("mimo2", window=Window(None), mtp=True),
    "modern-bert": Family("modern-bert", memory="none", window=Window(3, dense_first=True, needs_key=True)),
    "muse-glimmer": Family("muse-glimmer", window=Window(4)),
    "olmo2": Family("olmo2", window=Window(4, needs_key=True)),
    "plamo3": Family("plamo3", window=Window(8, needs_key=True)),
    "smallthinker": Family("smallthinker", window=Window(4, dense_first=True, size=4096, fixed_size=True, needs_key=True)),
    "spark2_5": Family("spark2-5", window=Window(None)),
    "step35": Family("step35", window=Window(None), mtp=True, mtp_head_kept=True),
    "dflash": Family("dflash", window=Window(None, needs_key=True, everywhere_if="hyper_connection.count")),
    # state instead of a cache
    "mamba": Family("mamba", memory="recurrent", recurrent="all", state="ssm-no-groups"),
    "mamba2": Family("mamba2", memory="recurrent", recurrent="all"),
    "rwkv6": Family("rwkv6", memory="recurrent", recurrent="all", state="wkv"),
    "rwkv6qwen2": Family("rwkv6qwen2", memory="recurrent", recurrent="all", state="wkv"),
    "rwkv7": Family("rwkv7", memory="recurrent", recurrent="all", state="wkv"),
    "arwkv7": Family("arwkv7", memory="recurrent", recurrent="all", state="wkv"),
    # hybrids
    "jamba": Family("jamba", memory="hybrid", recurrent="no-kv-heads", state="ssm-no-groups", mtp_cached=True),
    "falcon-h1": Family("falcon-h1", memory="hybrid", recurrent="all", attention_everywhere=True, mtp_cached=True),
    "plamo2": Family("plamo2", memory="hybrid", recurrent="no-kv-heads", head_without_heads=True, mtp_cached=True),
    "granitehybrid": Family("granite-hybrid", memory="hybrid", recurrent="no-kv-heads", mtp_cached=True),
    "lfm2": Family(
        "lfm2",
        memory="hybrid",
        recurrent="no-kv-heads",
        state="shortconv",
        window=Window(needs_key=True, attention_blocks=True),
        norm_named_embd=True,
        rollback=True,
        mtp_cached=True,
    ),
    "lfm2moe": Family(
        "lfm2moe",
        memory="hybrid",
        recurrent="no-kv-heads",
        state="shortconv",
        norm_named_embd=True,
        rollback=True,
        mtp_cached=True,
    ),
    "nemotron_h": Family("nemotron-h", memory="hybrid", recurrent="no-kv-heads-no-ff", rollback=True, mtp_cached=True, mtp=True),
    "nemotron_h_moe": Family(
        "nemotron-h", memory="hybrid", recurrent="no-kv-heads-no-ff", rollback=True, mtp_cached=True, mtp=True
    ),
    "qwen3next": Family("qwen3next", memory="hybrid", recurrent="interval", mtp=True),
    "qwen35": Family("qwen35", memory="hybrid", recurrent="interval", rollback=True, mtp=True),
    "qwen35moe": Family("qwen35moe", memory="hybrid", recurrent="interval", rollback=True, mtp=True),
    "minimax-01": Family("minimax-01", memory="hybrid", recurrent="interval", interval=8, state="linear"),
    "kimi-linear": Family("kimi-linear", memory="hybrid", recurrent="no-kv-heads", state="kda", mtp_cached=True),
    "kimi-k3": Family(
        "kimi-k3",
        memory="hybrid",
        recurrent="no-kv-heads",
        state="kda",
        head_v_is_kv_lora_rank=True,
        rollback=True,
        mtp_cached=True,
    ),
    "bailingmoe3": Family(
        "bailingmoe3", memory="hybrid", recurrent="no-kv-heads", state="kda", rollback=True, mtp_cached=True, mtp=True
    ),
    # indexers
    "deepseek32": Family("deepseek32", memory="dsa", indexer=Indexer(), mtp=True),
    "glm-dsa": Family("glm-dsa", memory="dsa", indexer=Indexer(types=True, default_full="glm"), mtp=True),
    "hy_v4": Family("hy-v4", memory="dsa", indexer=Indexer(types=True, default_full=False, optional=True), mtp_cached=True),
    "dots3note": Family("dots3note", memory="dsa", window=Window(None), indexer=Indexer(types=True, default_full=False)),
    "minimax-m3": Family(
        "minimax-m3",
        memory="msa",
        indexer=Indexer(after_dense_lead=True, keeps_v=True, top_k_blocks=True),
        mtp_cached=True,
    ),
    "glm5-next": Family(
        "glm5-next",
        memory="hybrid_idx",
        recurrent="no-kv-heads",
        state="kda",
        head_v_is_kv_lora_rank=True,
        indexer=Indexer(types=True, pool_row=3, in_mtp=True),
        rollback=True,
        mtp=True,
    ),
    "qwen4exp": Family(
        "qwen4exp",
        memory="hybrid_idx",
        recurrent="interval",
        indexer=Indexer(pool_row=2, pool_by_ratios=True, in_mtp=True),
        rollback=True,
        mtp=True,
    ),
    "deepseek4": Family(
        "deepseek4",
        memory="dsv4",
        window=Window(0, from_header=False),
        indexer=Indexer(),
        equal_types=True,
        rollback=True,
        mtp=True,
        mtp_needs_tensor=True,
        mtp_cached=True,
    ),
    # blocks that are not the file's
    "graniteswitch": Family("granite-switch", router_block=True),
    "nanbeige": Family("nanbeige", loops=True),
}

# src/models/glm-dsa.cpp, GLM_5_2_DEFAULT_INDEXER_TYPES: two full blocks, then one in four; none past 78
GLM_FULL_INDEXERS = frozenset(il for il in range(78) if il < 2 or il % 4 == 2)

PLAIN = Family("(no record)")
