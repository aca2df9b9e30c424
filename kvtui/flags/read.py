"""llama-server's command line as a build of it reads it (common/arg.cpp): the part that decides memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import UsageError
from kvtui.flags.beside import ALL_LAYERS, BesideFlags
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import POOLINGS, ContextParams
from kvtui.flags.known import OLD_LOAD_SWITCHES, REMOVED, known_flags, unknown_flag
from kvtui.flags.overrides import DENSE_FFN, EXPERTS, Override, first_blocks, parse_overrides

MAX_SPLITS = 15  # -ts: fewer entries than llama_max_devices() = 16 (ggml: GGML_CUDA_MAX_DEVICES)
DEFAULT_CACHE_RAM_MIB = 8192  # common/common.h, cache_ram_mib
DEFAULT_CHECKPOINTS = 32  # common/common.h, n_ctx_checkpoints


@dataclass(frozen=True)
class ServerFlags:
    """What the flags say, before devices are known."""

    context: ContextParams = field(default_factory=ContextParams)
    n_gpu_layers: int = ALL_LAYERS  # -ngl; `auto` and unset mean all, as with --fit off
    tensor_split: tuple[float, ...] = ()  # -ts; empty: by free memory
    overrides: tuple[Override, ...] = ()
    devices: tuple[str, ...] | None = None  # -dev, by name; () is `none`; None: all
    main_gpu: int = 0
    split_mode: str = "layer"
    load_mode: str = "auto"
    beside: BesideFlags = field(default_factory=BesideFlags)
    cache_ram_mib: int = DEFAULT_CACHE_RAM_MIB
    checkpoints: int = DEFAULT_CHECKPOINTS
    repack: bool = True
    ignored: tuple[str, ...] = ()  # flags that move no memory


def _integer(flag: str, value: str) -> int:
    """std::stoi: digits at the start count, the rest is ignored."""
    digits = value.strip()
    end = 1 if digits[:1] in ("-", "+") else 0
    while end < len(digits) and digits[end].isdecimal():
        end += 1
    try:
        number = int(digits[:end])
    except ValueError:
        raise UsageError(f"{flag} {value}: not a number") from None
    if not -(2**31) <= number < 2**31:
        raise UsageError(f"{flag} {value}: out of range")
    return number


def _type(flag: str, value: str) -> str:
    if value not in CACHE_TYPES:
        raise UsageError(f"{flag} {value}: no such cache type; llama-server takes {', '.join(CACHE_TYPES)}")
    return value


def _choice(flag: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise UsageError(f"{flag} {value}: one of {', '.join(allowed)} is needed")
    return value


_FLASH = {
    **dict.fromkeys(("on", "enabled", "true", "1"), "on"),  # common/arg.cpp, is_truthy
    **dict.fromkeys(("off", "disabled", "false", "0"), "off"),
    **dict.fromkeys(("auto", "-1"), "auto"),
}
_SPLIT_MODES = ("none", "layer", "row", "tensor")
_LOAD_MODES = ("auto", "none", "mmap", "mlock", "mmap+mlock", "dio")


def _slots(flag: str, value: str) -> int | None:
    number = _integer(flag, value)
    if number == 0:
        raise UsageError(f"{flag} {value}: invalid value for n_parallel")
    return number if number > 0 else None


def _not_negative(flag: str, value: str) -> int:
    number = _integer(flag, value)
    if number < 0:
        raise UsageError(f"{flag} {value}: a number of blocks is 0 or more")
    return number


def _context(flag: str, value: str) -> int:
    number = _integer(flag, value)
    if number < 0:
        raise UsageError(f"{flag} {value}: a context is 0 (the trained one) or more tokens")
    return number


def _batch(flag: str, value: str) -> int:
    number = _integer(flag, value)
    if number < 0:
        raise UsageError(f"{flag} {value}: a batch is 1 token or more")
    return number


# common/speculative.cpp, common_speculative_type_from_name_map
_SPEC_TYPES = (
    *("none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark"),
    *("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"),
)


# names of earlier builds, and of the branch that MTP came from, and what they are called today
_OLD_SPEC_TYPES = {"mtp": "draft-mtp", "draft": "draft-simple", "eagle3": "draft-eagle3", "dflash": "draft-dflash"}


def _spec_types(flag: str, value: str) -> tuple[str, ...]:
    old = next((name for name in value.split(",") if name in _OLD_SPEC_TYPES), None)
    if old is not None:
        raise UsageError(f"{flag} {old}: today it is called {_OLD_SPEC_TYPES[old]}")
    names = tuple(_choice(flag, name, _SPEC_TYPES) for name in value.split(","))
    return () if "none" in names else names


def _draft_length(flag: str, value: str) -> int:
    number = _integer(flag, value)
    if number < 0:
        raise UsageError(f"{flag} {value}: invalid value; a draft is 0 tokens or more")
    return number


def _cache_size(flag: str, value: str) -> int:
    number = _integer(flag, value)
    if number < 0:
        raise UsageError(f"{flag} {value}: a cache is 0 MiB or more")
    return number


# flag -> field of ContextParams, and how its value is read
_CONTEXT_VALUES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    **dict.fromkeys(("-c", "--ctx-size"), ("n_ctx", _context)),
    **dict.fromkeys(("-b", "--batch-size"), ("n_batch", _batch)),
    **dict.fromkeys(("-ub", "--ubatch-size"), ("n_ubatch", _batch)),
    **dict.fromkeys(("-np", "--parallel"), ("n_parallel", _slots)),
    **dict.fromkeys(("-ctk", "--cache-type-k"), ("type_k", _type)),
    **dict.fromkeys(("-ctv", "--cache-type-v"), ("type_v", _type)),
    **dict.fromkeys(("-fa", "--flash-attn"), ("flash_attn", lambda f, v: _FLASH[_choice(f, v, tuple(_FLASH))])),
    "--spec-type": ("spec_types", _spec_types),
    "--spec-draft-n-max": ("n_draft", _draft_length),
    "--moe-cache-mib": ("expert_cache_mib", _cache_size),
    "--pooling": ("pooling", lambda f, v: _choice(f, v, POOLINGS)),
}
_PER_SLOT = "--kv-unified-per-slot"
_CONTEXT_SWITCHES: dict[str, tuple[tuple[str, bool | str], ...]] = {
    "--swa-full": (("swa_full", True),),
    **dict.fromkeys(("-kvu", "--kv-unified"), (("kv_unified", True),)),
    **dict.fromkeys(("-no-kvu", "--no-kv-unified"), (("kv_unified", False),)),
    **dict.fromkeys(("-nkvo", "--no-kv-offload"), (("offload_kqv", False),)),
    **dict.fromkeys(("-kvo", "--kv-offload"), (("offload_kqv", True),)),
    "--op-offload": (("op_offload", True),),
    "--no-op-offload": (("op_offload", False),),
    **dict.fromkeys(("--embedding", "--embeddings"), (("embeddings", True),)),
    **dict.fromkeys(("--rerank", "--reranking"), (("embeddings", True), ("pooling", "rank"))),
}


def _layers(flag: str, value: str) -> int:
    if value in ("auto", "all"):
        return ALL_LAYERS
    number = _integer(flag, value)
    return ALL_LAYERS if number < 0 else number  # src/llama-model.cpp, n_gpu_layers()


def _splits(flag: str, value: str) -> tuple[float, ...]:
    if value[:1] in ("", ",", "/"):  # the first entry is empty for the server's tokenizer
        raise UsageError(f"{flag} {value}: not a list of numbers")
    parts = [p for p in value.replace("/", ",").split(",") if p]
    if len(parts) > MAX_SPLITS:
        raise UsageError(f"{flag} {value}: llama-server takes at most {MAX_SPLITS} entries")
    try:
        return tuple(float(p) for p in parts)
    except ValueError:
        raise UsageError(f"{flag} {value}: not a list of numbers") from None


def _names(_: str, value: str) -> tuple[str, ...]:
    return () if value == "none" else tuple(value.split(","))


_VALUES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    **dict.fromkeys(("-ngl", "--gpu-layers", "--n-gpu-layers"), ("n_gpu_layers", _layers)),
    **dict.fromkeys(("-ts", "--tensor-split"), ("tensor_split", _splits)),
    **dict.fromkeys(("-dev", "--device"), ("devices", _names)),
    **dict.fromkeys(("-mg", "--main-gpu"), ("main_gpu", _integer)),
    **dict.fromkeys(("-sm", "--split-mode"), ("split_mode", lambda f, v: _choice(f, v, _SPLIT_MODES))),
    **dict.fromkeys(("-lm", "--load-mode"), ("load_mode", lambda f, v: _choice(f, v, _LOAD_MODES))),
    **dict.fromkeys(("-cram", "--cache-ram"), ("cache_ram_mib", _integer)),
    **dict.fromkeys(("-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"), ("checkpoints", _integer)),
}
_SWITCHES: dict[str, tuple[str, bool]] = {
    "--repack": ("repack", True),
    **dict.fromkeys(("-nr", "--no-repack"), ("repack", False)),
}


def _one_device(flag: str, value: str) -> str:
    if "," in value:
        raise UsageError(f"{flag} {value}: a projector takes one device")
    return value


# flag -> field of BesideFlags
_BESIDE_VALUES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    **dict.fromkeys(("-mm", "--mmproj"), ("mmproj", lambda _, v: v)),
    **dict.fromkeys(("-mmdev", "--mmproj-device"), ("mmproj_device", _one_device)),
    "--image-min-tokens": ("image_min_tokens", lambda f, v: max(_integer(f, v), 0)),
    "--image-max-tokens": ("image_max_tokens", lambda f, v: max(_integer(f, v), 0)),
    **dict.fromkeys(("--spec-draft-model", "-md", "--model-draft"), ("draft", lambda _, v: v)),
    **dict.fromkeys(("--spec-draft-ngl", "-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft"), ("draft_layers", _layers)),
    **dict.fromkeys(("--spec-draft-type-k", "-ctkd", "--cache-type-k-draft"), ("draft_type_k", _type)),
    **dict.fromkeys(("--spec-draft-type-v", "-ctvd", "--cache-type-v-draft"), ("draft_type_v", _type)),
    **dict.fromkeys(("--spec-draft-device", "-devd", "--device-draft"), ("draft_devices", _names)),
}
_BESIDE_SWITCHES: dict[str, tuple[str, bool]] = {
    "--mmproj-offload": ("mmproj_offload", True),
    "--no-mmproj-offload": ("mmproj_offload", False),
}
_OVERRIDES: dict[str, Callable[[str, str], tuple[Override, ...]]] = {
    **dict.fromkeys(("-ot", "--override-tensor"), lambda _, v: parse_overrides(v)),
    **dict.fromkeys(("-ncmoe", "--n-cpu-moe"), lambda f, v: first_blocks(_not_negative(f, v), EXPERTS)),
    **dict.fromkeys(("-ncffn", "--n-cpu-ffn"), lambda f, v: first_blocks(_not_negative(f, v), DENSE_FFN)),
}
_ONE_BY_ONE = ("-ot", "--override-tensor")
_ALL_EXPERTS = ("-cmoe", "--cpu-moe")
_DRAFT_OVERRIDES: dict[str, Callable[[str, str], tuple[Override, ...]]] = {
    **dict.fromkeys(("--spec-draft-override-tensor", "-otd", "--override-tensor-draft"), lambda f, v: parse_overrides(v, f)),
    **dict.fromkeys(
        ("--spec-draft-n-cpu-moe", "--spec-draft-ncmoe", "-ncmoed", "--n-cpu-moe-draft"),
        lambda f, v: first_blocks(_not_negative(f, v), EXPERTS),
    ),
    **dict.fromkeys(("--spec-draft-cpu-moe", "-cmoed", "--cpu-moe-draft"), lambda *_: (Override(EXPERTS, "CPU"),)),
}


def split_argv(
    argv: Sequence[str], count: Callable[[str, Sequence[str]], int] | None = None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Flags with their values, as written. `count`: how many of the words after a flag are its values; by default as many as
    b11434 takes, and for a flag that it does not know the one word that follows and is no flag. Raises nothing."""
    count, i = count or _usual_count, 0
    while i < len(argv):
        rest = argv[i + 1 :]
        n = min(count(argv[i], rest), len(rest))
        yield argv[i], tuple(rest[:n])
        i += 1 + n


def is_flag(word: str) -> bool:
    """Whether a word looks like a flag; -1 does not."""
    return len(word) > 1 and word[0] == "-" and (word[1].isalpha() or word[1] == "-")


def guessed_count(_: str, rest: Sequence[str]) -> int:
    """Values of a flag that nobody knows: the word after it, if that is no flag."""
    return int(bool(rest) and not is_flag(rest[0]))


def _canonical(flag: str) -> str:
    return flag.replace("_", "-") if flag.startswith("--") else flag  # common/arg.cpp, common_params_parse_ex


def _usual_count(flag: str, rest: Sequence[str]) -> int:
    known = known_flags().get(_canonical(flag))
    return guessed_count(flag, rest) if known is None else max(known, 0)


def _checked(argv: Sequence[str], build: Build) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Flags with their values. Raises UsageError for what llama-server does not know."""
    known = known_flags(build)

    def count(word: str, rest: Sequence[str]) -> int:
        values = known.get(_canonical(word))
        return guessed_count(word, rest) if values is None else max(values, 0)

    for word, values in split_argv(argv, count):
        flag = _canonical(word)
        if flag not in known:
            raise unknown_flag(word, flag, build)
        if known[flag] == REMOVED:
            raise UsageError(f"{flag}: llama-server {build} no longer has this flag")
        if len(values) < known[flag]:
            raise UsageError(f"{flag}: a value is missing")
        yield flag, values


def parse_flags(argv: Sequence[str], base: ServerFlags | None = None, build: Build = DEFAULT_BUILD) -> ServerFlags:
    """What `argv` says to a llama-server of this build, over `base`. Raises UsageError with one line for what the
    server's own parser would reject."""
    flags = base or ServerFlags()
    context: dict[str, Any] = {}
    other: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    overrides: list[Override] = list(flags.overrides)
    drafts: list[Override] = list(flags.beside.draft_overrides)
    per_slot = 0
    ignored = []
    for flag, values in _checked(argv, build):
        if flag == _PER_SLOT:
            per_slot = _integer(flag, values[0])
        elif flag in _CONTEXT_VALUES:
            name, read = _CONTEXT_VALUES[flag]
            context[name] = read(flag, values[0])
        elif flag in _CONTEXT_SWITCHES:
            context.update(_CONTEXT_SWITCHES[flag])
        elif flag in _VALUES:
            name, read = _VALUES[flag]
            other[name] = read(flag, values[0])
        elif flag in _SWITCHES:
            name, other[name] = _SWITCHES[flag][0], _SWITCHES[flag][1]
        elif flag in _OVERRIDES:
            overrides += _OVERRIDES[flag](flag, values[0])
        elif flag in _BESIDE_VALUES:
            name, read = _BESIDE_VALUES[flag]
            beside[name] = read(flag, values[0])
            if name == "mmproj_device":
                beside["mmproj_offload"] = values[0] != "none"
        elif flag in _BESIDE_SWITCHES:
            name, beside[name] = _BESIDE_SWITCHES[flag][0], _BESIDE_SWITCHES[flag][1]
        elif flag in _DRAFT_OVERRIDES:
            drafts += _DRAFT_OVERRIDES[flag](flag, "".join(values))
        elif flag in OLD_LOAD_SWITCHES:
            other["load_mode"] = OLD_LOAD_SWITCHES[flag][0]
        elif flag in _ALL_EXPERTS:
            overrides.append(Override(EXPERTS, "CPU"))
        else:
            ignored.append(flag)
    asked = replace(flags.context, **context)
    if per_slot > 0 and not asked.n_ctx and "n_ctx" not in context:  # tools/server/server.cpp, ctx_pool_auto_sized
        asked = replace(asked, n_ctx=_context(_PER_SLOT, str(per_slot * asked.slots)))
    return replace(
        flags,
        context=asked,
        overrides=tuple(overrides),
        beside=replace(flags.beside, **beside, draft_overrides=tuple(drafts)),
        ignored=tuple(ignored),
        **other,
    )


def said_overrides(argv: Sequence[str], build: Build = DEFAULT_BUILD) -> tuple[tuple[str, tuple[Override, ...]], ...]:
    """The overrides of `argv` as they were said, in order: each pattern of an -ot by itself, all of an -ncmoe's as one.
    Together they are `ServerFlags.overrides`. Raises UsageError."""
    found: list[tuple[str, tuple[Override, ...]]] = []
    for flag, values in _checked(argv, build):
        if flag in _ALL_EXPERTS:
            found.append((flag, (Override(EXPERTS, "CPU"),)))
        elif flag in _OVERRIDES:
            patterns = _OVERRIDES[flag](flag, values[0])
            one_by_one = flag in _ONE_BY_ONE
            found += [(f"{flag} {o.pattern}={o.buffer}", (o,)) for o in patterns] if one_by_one else []
            found += [] if one_by_one else [(f"{flag} {values[0]}", patterns)]
    return tuple(found)
