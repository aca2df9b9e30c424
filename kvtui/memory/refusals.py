"""What llama-server would refuse for a model and a context, found before it is launched, with the server's own reason.

src/llama-context.cpp, llama_init_from_model and the constructor of llama_context."""

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import Finding
from kvtui.cache.layout import cache_layout, physical_batch
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.model.loading import UNKNOWN_ARCHITECTURE
from kvtui.model.spec import ModelSpec

MAX_SEQUENCES = 256  # src/llama-cparams.h, LLAMA_MAX_SEQ
_NEEDS_TARGET = ("gemma4-assistant",)  # src/llama-context.cpp: created only beside its target model
_NEEDS_TARGET_UNLESS_COMPLETE = ("eagle3", "dflash")  # likewise, where they bring no embeddings or output of their own
UNTESTED_HEAD = "untested-head-size"


def equal_types_needed(model: ModelSpec) -> bool:
    """Whether K and V must have one type: MLA models and deepseek4."""
    return model.is_mla or model.family.equal_types


def refusals(model: ModelSpec, ctx: ContextParams, build: Build = DEFAULT_BUILD) -> tuple[Finding, ...]:
    """Errors for what is refused, warnings for what the server takes untested. Empty: it is accepted."""
    found = [_of_loading(model.refusal, build)] if model.refusal else []
    since = model.family.since
    if since is not None and build < since:
        text = f"unknown model architecture: llama.cpp {build} has no {model.architecture!r}; {since} has it"
        found.append(_error(UNKNOWN_ARCHITECTURE, text))
    k, v = CACHE_TYPES[ctx.type_k], CACHE_TYPES[ctx.type_v]
    flash_off = ctx.flash_attn == "off" or model.family.no_flash_attention
    if ctx.slots > MAX_SEQUENCES:
        found.append(_error("too-many-slots", f"n_seq_max must be <= {MAX_SEQUENCES}, not {ctx.slots}"))
    if ctx.n_ubatch == 0 and ctx.n_batch == 0:
        found.append(_error("no-batch", "n_batch and n_ubatch cannot both be zero"))
    if model.architecture in _NEEDS_TARGET or (model.architecture in _NEEDS_TARGET_UNLESS_COMPLETE and not _complete(model)):
        found.append(_error("needs-target", f"{model.architecture} is a draft model: it runs only beside its target (-md)"))
    found += _of_pooling(model, ctx)
    if equal_types_needed(model) and k.name != v.name:
        found.append(
            _error(
                "different-types",
                f"model does not support different K ({k.name}) and V ({v.name}) cache types",
            )
        )
    if v.quantized and flash_off:
        why = " (flash attention is off for this architecture)" if model.family.no_flash_attention else ""
        found.append(_error("quantized-v", f"quantized V cache requires flash_attn to be enabled{why}"))
    for letter, cache_type, sizes in (
        ("K", k, {x.head_k for x in model.layers[: model.n_layer]}),
        ("V", v, {x.head_v for x in model.layers[: model.n_layer]}),
    ):
        bad = sorted(s for s in sizes if s % cache_type.block_values)
        if not bad:
            continue
        text = (
            f"{letter} cache type {cache_type.name} with block size {cache_type.block_values} "
            f"does not divide n_embd_head_{letter.lower()}={bad[0]}"
        )
        if flash_off:
            found.append(Finding(UNTESTED_HEAD, "warning", f"{text}: llama-server takes it without flash attention, untested"))
        else:
            found.append(_error("head-size", text))
    return tuple(found)


def _of_pooling(model: ModelSpec, ctx: ContextParams) -> list[Finding]:
    """Mean pooling multiplies the rows of a batch by one number a token; their counts differ where slots do not divide it
    (src/llama-context.cpp, graph_reserve rounds tokens up alone; llama-graph.cpp, build_pooling)."""
    if not ctx.embeddings:
        return []
    from kvtui.memory.compute.pooling import pooling_of  # late: the first screen needs refusals, and no graph

    tokens = min(cache_layout(model, ctx).cells, physical_batch(model, ctx))
    if pooling_of(model, ctx.pooling) != "mean" or tokens % ctx.slots == 0:
        return []
    text = f"mean pooling needs a batch that slots divide: {ctx.slots} do not divide {tokens}, and the server stops as it loads"
    return [_error("pooling-batch", text)]


def _of_loading(refusal: Finding, build: Build) -> Finding:
    """Which architectures a newer build knows is not known here: the plain rule is used for what may be one of them."""
    if refusal.code == UNKNOWN_ARCHITECTURE and build > DEFAULT_BUILD:
        text = f"{refusal.message}; {build} may have it: the plain rule is used, and a dry run of llama-server tells the truth"
        return Finding(refusal.code, "warning", text)
    return refusal


def _complete(model: ModelSpec) -> bool:
    return {"token_embd.weight", "output.weight"} <= {t.name for t in model.tensors}


def _error(code: str, message: str) -> Finding:
    return Finding(code, "error", message)
