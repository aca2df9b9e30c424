"""The options that `plan`, `table`, `estimate`, `verify`, `serve` and the app share, as one frozen value."""

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kvtui.base.findings import UsageError
from kvtui.flags.beside import BesideFlags
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams, FlashAttention
from kvtui.flags.read import parse_flags

MAX_CONTEXT = 2**31 - 1  # llama-server's -c is an int
DRAFT_MTP = "draft-mtp"
_BUILD = re.compile(r"^b\d{3,6}$")  # llama.cpp's release tags
_FILES = (("mmproj", "--mmproj"), ("model_draft", "-md"))
OF_MACHINES = ("device", "ram", "margin", "display_margin", "ram_margin", "rpc")  # options that describe a machine


@dataclass(frozen=True)
class Options:
    """What a person gave on the command line; None and () mean "not given"."""

    device: tuple[str, ...] = ()
    ram: str | None = None
    margin: str | None = None
    display_margin: str | None = None
    ram_margin: str | None = None
    ctx_size: str | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    parallel: int | None = None
    kv_unified: bool | None = None
    batch_size: int | None = None
    ubatch_size: int | None = None
    flash_attn: FlashAttention | None = None
    swa_full: bool = False
    embedding: bool = False
    rerank: bool = False
    pooling: str | None = None
    no_kv_offload: bool = False
    load_mode: str | None = None
    moe_cache_mib: int | None = None
    mmproj: str | None = None
    model_draft: str | None = None
    spec_type: str | None = None
    spec_draft_n_max: int | None = None
    no_mmproj_offload: bool = False
    mmproj_device: str | None = None
    image_min_tokens: int | None = None
    image_max_tokens: int | None = None
    gpu_layers_draft: str | None = None
    cache_type_k_draft: str | None = None
    cache_type_v_draft: str | None = None
    device_draft: str | None = None
    override_tensor_draft: tuple[str, ...] = ()
    cpu_moe_draft: bool = False
    n_cpu_moe_draft: int | None = None
    pin: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefer: str | None = None
    no_ram: bool = False
    goal: str | None = None
    rpc: str | None = None
    config: str | None = None
    profile: str | None = None
    machine: str | None = None
    llama_server: str | None = None
    host: str | None = None
    port: int | None = None
    server_args: tuple[str, ...] = ()  # of a config file
    build: str | None = None


def tokens(text: str) -> int:
    """Tokens of `132000`, `132k`, `1M`; 0 or `max` is the most there is. Raises UsageError."""
    if text == "max":
        return 0
    scale = {"k": 1000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text[:-1] if scale > 1 else text
    try:
        count = round(float(digits) * scale) if scale > 1 else int(digits)
    except (ValueError, OverflowError):
        raise UsageError(f"-c {text}: not a number of tokens") from None
    if not 0 <= count <= MAX_CONTEXT:
        raise UsageError(f"-c {text}: a context is between 0 and {MAX_CONTEXT:,} tokens")
    return count


def cache_type(flag: str, name: str) -> str:
    """A type llama-server knows, or UsageError that names the nearest."""
    if name in CACHE_TYPES:
        return name
    near = get_close_matches(name.lower(), CACHE_TYPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{flag} {name}: no such cache type; {hint}llama-server takes {', '.join(CACHE_TYPES)}")


def context_params(options: Options, base: ContextParams | None = None) -> ContextParams:
    """llama-server's context flags of `options` over `base` (a config's). Raises UsageError."""
    given: dict[str, Any] = {}
    if options.ctx_size is not None:
        given["n_ctx"] = tokens(options.ctx_size)
    if options.cache_type_k is not None:
        given["type_k"] = cache_type("-ctk", options.cache_type_k)
    if options.cache_type_v is not None:
        given["type_v"] = cache_type("-ctv", options.cache_type_v)
    if options.parallel is not None:
        if options.parallel == 0 or options.parallel < -1:
            raise UsageError(f"-np {options.parallel}: slots are 1 or more (-1: llama-server's own choice)")
        given["n_parallel"] = options.parallel
    if options.kv_unified is not None:
        given["kv_unified"] = options.kv_unified
    for name, flag, value in (
        ("n_batch", "-b", options.batch_size),
        ("n_ubatch", "-ub", options.ubatch_size),
    ):
        if value is not None:
            if not 1 <= value <= MAX_CONTEXT:
                raise UsageError(f"{flag} {value}: a batch is 1 token or more")
            given[name] = value
    if options.flash_attn is not None:
        given["flash_attn"] = options.flash_attn
    if options.swa_full:
        given["swa_full"] = True
    if options.no_kv_offload:
        given["offload_kqv"] = False
    if options.embedding or options.rerank:
        given["embeddings"] = True
    if options.rerank and options.pooling not in (None, "rank"):
        raise UsageError(f"--rerank --pooling {options.pooling}: a reranker pools by rank")
    if options.rerank or options.pooling is not None:
        given["pooling"] = options.pooling or "rank"
    if options.spec_type is not None:
        given["spec_types"] = spec_types(options.spec_type)
    if options.moe_cache_mib is not None:
        if options.moe_cache_mib < 0:
            raise UsageError(f"--moe-cache-mib {options.moe_cache_mib}: a cache is 0 MiB or more")
        given["expert_cache_mib"] = options.moe_cache_mib
    if options.spec_draft_n_max is not None:
        given["n_draft"] = parse_flags(("--spec-draft-n-max", str(options.spec_draft_n_max))).context.n_draft
    return replace(base or ContextParams(), **given)


def beside_flags(options: Options) -> BesideFlags:
    """What is to be loaded beside the model. Raises UsageError."""
    argv: list[str] = []
    for flag, value in (
        ("--mmproj", options.mmproj),
        ("-mmdev", options.mmproj_device),
        ("--image-min-tokens", options.image_min_tokens),
        ("--image-max-tokens", options.image_max_tokens),
        ("-md", options.model_draft),
        ("-ngld", options.gpu_layers_draft),
        ("-ctkd", options.cache_type_k_draft),
        ("-ctvd", options.cache_type_v_draft),
        ("-devd", options.device_draft),
        *(("-otd", text) for text in options.override_tensor_draft),
        ("-ncmoed", options.n_cpu_moe_draft),
    ):
        argv += [flag, str(value)] if value is not None else []
    argv += ["-cmoed"] if options.cpu_moe_draft else []
    argv += ["--no-mmproj-offload"] if options.no_mmproj_offload else []
    return parse_flags(argv).beside


def spec_types(text: str) -> tuple[str, ...]:
    """Types of speculative decoding as llama-server's parser takes them; `none` is (). Raises UsageError."""
    return parse_flags(("--spec-type", text)).context.spec_types


def check_options(options: Options) -> None:
    """What can be told wrong of options before a model or a machine is looked at. Raises UsageError."""
    context_params(options)
    beside_flags(options)
    if options.load_mode is not None:
        parse_flags(("-lm", options.load_mode))
    if options.build is not None and not _BUILD.match(options.build):
        raise UsageError(f"--build {options.build}: a build is written as b11434")
    for name, flag in _FILES:
        file = getattr(options, name)
        if file is not None and not Path(file).is_file():
            raise UsageError(f"{flag} {file}: no such file")
