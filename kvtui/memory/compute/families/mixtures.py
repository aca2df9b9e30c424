"""Mixtures of experts in a plain decoder: what src/models/*.cpp of these families do differently, as records."""

from dataclasses import dataclass, replace

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode, draft, three_of_four, windowed
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Gating, Routing, dense, gating, moe, scaled
from kvtui.memory.compute.mtp import finish_draft, finish_picked
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

PLAIN = Decoder()


@dataclass(frozen=True)
class Mixture:
    """How a family's experts are chosen, and its block. `None`: the header says."""

    gating: Gating = "softmax"
    named: bool = False  # the header may name another (expert_gating_func)
    norm: bool | None = True  # weights sum up to one
    scaled: bool = False  # the family reads expert_weights_scale
    scales: bool = False  # and hands on the tensors' scales
    windows: bool = False  # two caches, one of a window, where the header has a window
    by_sigmoid: bool = False
    sections: bool | None = False  # rope_multi: four positions a token
    block: Decoder = PLAIN


def _beside(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """qwen2moe: shared experts times a gate of a number a token, sigmoid written as silu(x) / x."""
    out = moe(g, cur, il, routing)
    number = g.proj("ffn_gate_inp_shexp", il, cur)
    opened = g.div(g.unary("silu", number), number)
    return g.add(out, g.mul(dense(g, cur, il, "silu", "_shexp", routing.scales), opened))


def _chunked(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """grovemoe: experts, and smaller ones that groups of them share, fed with what the first gave."""
    logits = g.mm(g.w("ffn_gate_inp", il), cur)
    out = moe(g, cur, il, routing, logits)
    each = int(g.number("experts_per_group"))
    return g.add(out, g.scale(moe(g, out, il, routing, logits, suffix="_chexps", each=each)))


def _full(g: Build, il: int) -> bool:
    return not g.layer(il).is_swa


def _in_sections(g: Build) -> bool:
    """llama_hparams::use_mrope."""
    return all(g.number_of("rope.dimension_sections", i) > 0 for i in (0, 1))


HEADER = Mixture(gating="sigmoid", named=True, norm=None, scaled=True)
FAMILIES = {
    "afmoe": replace(
        HEADER,
        windows=True,
        block=Decoder(
            scaled_rows=True,
            roped=three_of_four,
            gate="sigmoid",
            attn_post_norm="post_attention_norm",
            post_norm_all=True,
            ffn_post_norm="post_ffw_norm",
            post_norm_pinned=True,
        ),
    ),
    "bailingmoe": Mixture(norm=None, scaled=True),
    "bailingmoe2": HEADER,
    "dbrx": Mixture(block=Decoder(norm="layer", ffn_norm="attn_output_norm")),
    "deepseek": Mixture(norm=False, scaled=True),
    "deepseek2-ocr": replace(HEADER, gating="softmax"),
    "dots1": HEADER,
    "ernie4_5-moe": Mixture(),
    "exaone-moe": replace(HEADER, windows=True, block=Decoder(roped=windowed)),
    "glm4moe": replace(HEADER, sections=None, block=Decoder(ffn_norm="post_attention_norm")),
    "grovemoe": Mixture(by_sigmoid=True, block=Decoder(network=_chunked)),
    "hunyuan-moe": Mixture(block=Decoder(rope_first=True)),
    "hy_v3": replace(HEADER, scales=True, block=Decoder(late_normed=True)),
    "laguna": replace(HEADER, windows=True, block=Decoder(gate="softplus")),
    "llada-moe": Mixture(norm=False, block=Decoder(cached=False)),
    "maple": Mixture(windows=True, block=Decoder(roped=windowed)),
    "mellum": Mixture(scales=True, windows=True),
    "mimo2": Mixture(gating="sigmoid", windows=True, block=Decoder(bare_qkv=True, scaled_attn=True)),
    "minimax-m2": Mixture(named=True, block=Decoder(by_rows=True)),
    "olmoe": Mixture(norm=False, block=Decoder(by_rows=True)),
    "phimoe": Mixture(block=Decoder(scaled_q=True)),
    "qwen2moe": Mixture(norm=False, block=Decoder(network=_beside)),
    "qwen3vlmoe": Mixture(sections=True),
    "rnd1": Mixture(block=Decoder(cached=False)),
    "step35": replace(HEADER, windows=True, block=Decoder(by_rows=True, factors=_full, gate="sigmoid", late_outputs=True)),
}
ARCHITECTURES = tuple(FAMILIES)
STEPPED = ("afmoe",)
DRAFTS = {"glm4moe": finish_draft, "hy_v3": finish_draft, "mimo2": finish_picked, "step35": finish_picked}


def repeats(model: ModelSpec) -> bool:
    """Not where some blocks get an image's rows again, or some have limits."""
    value = model.header.metadata.get(f"{model.architecture}.swiglu_clamp_exp", 0)
    uneven = isinstance(value, (list, tuple)) and len(set(value)) > 1
    return not uneven and not model.header.metadata.get(f"{model.architecture}.n_deepstack_layers")


def graph(g: Build) -> None:
    """llama_model_*::graph of FAMILIES."""
    decode(g, _decoder(g))


def mtp_graph(g: Build) -> None:
    """llama_model_*::graph_mtp of DRAFTS."""
    draft(g, _decoder(g), DRAFTS[g.model.architecture])


def _decoder(g: Build) -> Decoder:
    """The family's record with what the header says."""
    m = FAMILIES[g.model.architecture]
    routing = Routing(
        gating=gating(g, m.gating) if m.named else m.gating,
        norm=g.flag("expert_weights_norm") if m.norm is None else m.norm,
        scaled=m.scaled and scaled(g),
        scales=m.scales,
        by_sigmoid=m.by_sigmoid,
    )
    sections = _in_sections(g) if m.sections is None else m.sections
    scaled_attn = m.block.scaled_attn and g.number("attention.value_scale") not in (0, 1)
    windows = m.windows and g.model.n_swa > 0
    return replace(m.block, routing=routing, iswa=windows, sections=sections, scaled_attn=scaled_attn)


FAMILY = Family(ARCHITECTURES, graph, mtp_graph=mtp_graph, drafts=DRAFTS, repeats=repeats, stepped=STEPPED)
