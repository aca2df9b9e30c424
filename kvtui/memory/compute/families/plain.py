"""Plain dense decoders: what src/models/*.cpp of these families do differently, as records."""

from collections.abc import Callable
from dataclasses import replace

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode, three_of_four, windowed
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Activation, Routing, dense, scaled
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

_BAICHUAN_7B, _BAICHUAN_13B = 32, 40  # blocks (baichuan.cpp, load_arch_hparams)
_BIASED = ("bloom", "refact")  # f_max_alibi_bias is 8, whatever the header says


def alibi(model: ModelSpec) -> bool:
    """Whether attention is biased by distance though the header does not say so."""
    return model.architecture in _BIASED or (model.architecture == "baichuan" and model.n_layer == _BAICHUAN_13B)


def repeats(model: ModelSpec) -> bool:
    """Not where some blocks turn Q and K and others, equal in all else, do not."""
    return model.architecture != "smollm3"


def _no_factors(g: Build, il: int) -> bool:
    return False


def _dense(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """Experts that a file has are not asked."""
    return dense(g, cur, il, routing.act, scales=routing.scales)


def _acts(act: Activation) -> Routing:
    return Routing(act=act, scales=False)


_POST = "post_attention_norm"
_RMS = Decoder(routing=_acts("silu"), factors=_no_factors)
_LAYER = replace(_RMS, norm="layer", routing=_acts("gelu"))
_FACTORS = Decoder(routing=_acts("silu"))
_HALVES = replace(_RMS, routing=_acts("swiglu"))
_GEMMA = replace(_RMS, scaled_rows=True, scaled_q=True, routing=_acts("gelu"))
_BOTH_POST = replace(_RMS, attn_post_norm=_POST, ffn_post_norm="post_ffw_norm")

FAMILIES = {
    "arcee": replace(_FACTORS, routing=_acts("relu_sqr")),
    "apertus": replace(_FACTORS, routing=_acts("xielu")),
    "bloom": replace(_LAYER, rope=False, normed_embd=True),
    "chatglm": _HALVES,
    "codeshell": _LAYER,
    "cohere2": Decoder(norm="layer", iswa=True, roped=windowed, parallel=("ffn", "input", "attention"), scaled_logits=1),
    "cogvlm": replace(_RMS, bare_qkv=True, all_outputs=True, factors=_no_factors),
    "command-r": replace(_RMS, norm="layer", qk_norm="layer", parallel=("ffn", "input", "attention"), scaled_logits=1),
    "dream": replace(_RMS, cached=False),
    "ernie4_5": _RMS,
    "exaone": _FACTORS,
    "falcon": replace(_LAYER, parallel=("ffn", "attention", "input")),
    "gemma": _GEMMA,
    "gemma2": replace(_GEMMA, iswa=True, attn_post_norm=_POST, ffn_post_norm="post_ffw_norm", softcapped=True),
    "gpt2": replace(_LAYER, rope=False),
    "internlm2": _RMS,
    "jais": replace(_LAYER, rope=False, routing=_acts("silu")),
    "jais2": replace(_LAYER, routing=_acts("relu_sqr")),
    "llada": replace(_RMS, cached=False),
    "maincoder": replace(_RMS, rope_first=True),
    "nemotron": replace(_LAYER, routing=_acts("relu_sqr")),
    "olmo": replace(_RMS, norm="layer"),
    "orion": replace(_RMS, norm="layer"),
    "paddleocr": replace(_RMS, sections=True),
    "pangu-embedded": _RMS,
    "phi2": replace(_LAYER, scaled_q=True, parallel=("attention", "ffn", "input")),
    "phi3": replace(_FACTORS, scaled_q=True, routing=_acts("swiglu")),
    "plamo": replace(_RMS, parallel=("ffn", "attention", "input")),
    "qwen": _RMS,
    "qwen2vl": replace(_RMS, sections=True),
    "qwen3tts": replace(_RMS, sections=True),
    "qwen3vl": replace(_RMS, sections=True),
    "refact": replace(_RMS, rope=False, network=_dense),
    "seed_oss": replace(_RMS, ffn_norm=_POST),
    "smollm3": replace(_RMS, roped=three_of_four),
    "stablelm": replace(_RMS, norm="layer", qk_norm="layer", ffn_reads_input=True),
    "spark2_5": replace(_RMS, iswa=True, gate="sigmoid", routing=_acts("gelu")),
    "starcoder": replace(_LAYER, rope=False),
    "starcoder2": _LAYER,
    "xverse": _RMS,
}


def _sections(g: Build) -> bool:
    """use_mrope: the header gives two sections at least."""
    return all(g.number_of("rope.dimension_sections", i) > 0 for i in (0, 1))


def _windows(g: Build) -> bool:
    return any(x.is_swa for x in g.model.layers)


def _baichuan(g: Build) -> Decoder:
    return replace(_RMS, rope=g.model.n_layer == _BAICHUAN_7B)


def _exaone4(g: Build) -> Decoder:
    windows = _windows(g)
    block = replace(_BOTH_POST, factors=_FACTORS.factors, attn_norm="", ffn_norm="", iswa=windows)
    return replace(block, roped=windowed) if windows else block


def _glm4(g: Build) -> Decoder:
    return replace(_BOTH_POST, post_norm_pinned=True, routing=_acts("swiglu"), sections=_sections(g))


def _gptneox(g: Build) -> Decoder:
    return replace(_LAYER, parallel=("ffn", "input", "attention")) if g.flag("use_parallel_residual") else _LAYER


def _granite(g: Build) -> Decoder:
    """Of MiniCPM too: what the header does not say was put in by hand there. Only the dense one may go without rope."""
    mini = g.model.architecture == "minicpm"
    return replace(
        _FACTORS,
        rope=g.model.architecture != "granite" or g.flag("rope.scaling.finetuned", True),
        scaled_rows=g.number("embedding_scale", mini) != 0,
        scaled_parts=g.number("residual_scale", mini) != 0,
        routing=Routing(scaled=scaled(g), scales=False),
        scaled_logits=1,
    )


def _granite_swa(g: Build) -> Decoder:
    """rope_pattern says which blocks are turned; shared experts' `up` holds the gate too."""
    pattern = g.model.header.metadata.get("granite_swa.attention.rope_pattern")

    def roped(g: Build, il: int) -> bool:
        return not isinstance(pattern, tuple) or il >= len(pattern) or bool(pattern[il])

    routing = Routing(act="swiglu", scaled=scaled(g), scales=False)
    return replace(_granite(g), rope=True, iswa=True, roped=roped, routing=routing)


def _hunyuan(g: Build) -> Decoder:
    """rope_multi of the dense one gets a position a token, whatever its header's sections."""
    vision = g.model.architecture == "hunyuan_vl"
    return replace(_FACTORS, rope_first=True, sections=vision and _sections(g))


def _mistral3(g: Build) -> Decoder:
    return Decoder(tempered_q=g.number("attention.temperature_scale") != 0, routing=Routing(scaled=scaled(g)))


def _mpt(g: Build) -> Decoder:
    return replace(_LAYER, rope=False, qk_norm="layer", by_rows=g.has("blk.0.attn_q_norm.weight"))


def _muse(g: Build) -> Decoder:
    return replace(
        _BOTH_POST,
        iswa=True,
        normed_embd=True,
        roped=windowed,
        gate="sigmoid",
        post_norm_all=True,
        scaled_logits=1,
        softcapped=g.number("final_logit_softcapping") != 0,
    )


def _olmo2(g: Build) -> Decoder:
    return replace(_BOTH_POST, attn_norm="", ffn_norm="", by_rows=True, iswa=_windows(g))


def _plamo3(g: Build) -> Decoder:
    return replace(_BOTH_POST, post_norm_pinned=True, routing=_acts("swiglu"), iswa=_windows(g))


BY_HEADER: dict[str, Callable[[Build], Decoder]] = {
    "baichuan": _baichuan,
    "exaone4": _exaone4,
    "glm4": _glm4,
    "gptneox": _gptneox,
    "granite": _granite,
    "granite_swa": _granite_swa,
    "granitemoe": _granite,
    "hunyuan-dense": _hunyuan,
    "hunyuan_vl": _hunyuan,
    "minicpm": _granite,
    "mistral3": _mistral3,
    "mpt": _mpt,
    "muse-glimmer": _muse,
    "olmo2": _olmo2,
    "plamo3": _plamo3,
}
ARCHITECTURES = (*FAMILIES, *BY_HEADER)


def graph(g: Build) -> None:
    """The graphs of these families in src/models."""
    architecture = g.model.architecture
    decode(g, BY_HEADER[architecture](g) if architecture in BY_HEADER else FAMILIES[architecture])


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats, alibi=alibi)
