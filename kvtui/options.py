"""The options that `plan`, `table`, `estimate`, `verify`, `serve` and the app share, as one frozen value."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import click

from kvtui.cache.context import ContextParams, FlashAttention
from kvtui.cache.types import CACHE_TYPES
from kvtui.findings import UsageError

F = TypeVar("F", bound=Callable[..., Any])

MAX_CONTEXT = 2**31 - 1  # llama-server's -c is an int


@dataclass(frozen=True)
class Options:
    """What a person gave on the command line; None and () mean "not given"."""

    device: tuple[str, ...] = ()
    ram: str | None = None
    margin: str | None = None
    ctx_size: str | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    parallel: int | None = None
    kv_unified: bool | None = None
    batch_size: int | None = None
    ubatch_size: int | None = None
    flash_attn: FlashAttention | None = None
    swa_full: bool = False
    no_kv_offload: bool = False
    load_mode: str | None = None
    mmproj: str | None = None
    model_draft: str | None = None
    spec_type: str | None = None
    pin: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    no_ram: bool = False
    rpc: str | None = None
    config: str | None = None
    llama_server: str | None = None
    host: str | None = None
    port: int | None = None
    server_args: tuple[str, ...] = ()  # of a config file
    build: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, **settings)


_SHARED: tuple[Callable[[Any], Any], ...] = (
    _option("--device", multiple=True, metavar="NAME=FREE[/TOTAL][@BANDWIDTH]", help="Plan for this device (repeatable)."),
    _option("--ram", metavar="FREE[@BANDWIDTH]", help="Plan for this much host memory."),
    _option("--margin", metavar="SIZE[,SIZE...]", help="Memory to leave free on each device [default: 1024MiB]."),
    _option("-c", "--ctx-size", metavar="N", help="Context in tokens (132000, 132k)."),
    _option("-ctk", "--cache-type-k", metavar="TYPE", help="K cache type: " + ", ".join(CACHE_TYPES) + "."),
    _option("-ctv", "--cache-type-v", metavar="TYPE", help="V cache type."),
    _option("-np", "--parallel", type=int, metavar="N", help="Slots [default: four and one unified cache]."),
    _option("-kvu/-no-kvu", "--kv-unified/--no-kv-unified", default=None, help="One cache shared by all slots."),
    _option("-b", "--batch-size", type=int, metavar="N", help="Logical batch [default: 2048]."),
    _option("-ub", "--ubatch-size", type=int, metavar="N", help="Physical batch [default: 512]."),
    _option("-fa", "--flash-attn", type=click.Choice(["on", "off", "auto"]), help="Flash attention."),
    _option("--swa-full", is_flag=True, help="Sliding-window layers keep the whole context."),
    _option("-nkvo", "--no-kv-offload", is_flag=True, help="Keep K/V in host memory."),
    _option("-lm", "--load-mode", metavar="MODE", help="auto, none, mmap, mlock, mmap+mlock or dio."),
    _option("--mmproj", metavar="FILE", help="Multimodal projector to count."),
    _option("-md", "--model-draft", metavar="FILE", help="Draft model to count."),
    _option("--spec-type", metavar="TYPE", help="Speculative decoding; draft-mtp loads a model's MTP blocks."),
    _option("--pin", multiple=True, metavar="REGEX=DEVICE", help="Tensors that match stay on DEVICE; repeatable."),
    _option("--exclude", multiple=True, metavar="DEVICE", help="Do not use this device; repeatable."),
    _option("--no-ram", is_flag=True, help="Keep everything but the embeddings on the devices."),
    _option("--rpc", metavar="HOST:PORT,...", help="Devices of ggml-rpc-servers."),
    _option("--config", metavar="FILE", help="A JSON config; options win over it."),
    _option("--llama-server", metavar="PATH", help="The llama-server to ask and run."),
    _option("--build", metavar="bN", help="llama.cpp build to estimate for [default: the server's, else b11434]."),
)


def shared_options(command: F) -> F:
    """Adds the shared options; the command gets them as one `Options`, first after its own arguments."""

    def collected(*args: Any, **values: Any) -> Any:
        known = {f.name for f in fields(Options)}
        mine = {name: values.pop(name) for name in list(values) if name in known}
        options = Options(**mine)
        if options.config is not None:
            from pathlib import Path

            from kvtui.config import read_config, under_options

            config = read_config(Path(options.config))
            options = under_options(config, options)
            if "model" in values and values["model"] is None:
                values["model"] = config.model
        return command(*args, options=options, **values)

    collected.__name__ = command.__name__
    collected.__doc__ = command.__doc__
    collected.__click_params__ = list(getattr(command, "__click_params__", ()))  # type: ignore[attr-defined]
    for add in reversed(_SHARED):
        collected = add(collected)
    return collected  # type: ignore[return-value]


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
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), CACHE_TYPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{flag} {name}: no such cache type; {hint}llama-server takes {', '.join(CACHE_TYPES)}")


def context_params(options: Options, base: ContextParams | None = None) -> ContextParams:
    """llama-server's context flags of `options` over `base` (a config's). Raises UsageError."""
    from dataclasses import replace

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
    if options.spec_type is not None:
        given["spec_types"] = tuple(options.spec_type.split(","))
    return replace(base or ContextParams(), **given)
