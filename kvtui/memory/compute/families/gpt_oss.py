"""src/models/openai-moe.cpp."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing

ARCHITECTURES = ("gpt-oss",)


def graph(g: Build) -> None:
    """llama_model_openai_moe::graph."""
    routing = Routing(gating="softmax_weight", norm=False, act="swiglu_oai", scales=False)
    decode(g, Decoder(iswa=True, ffn_norm="post_attention_norm", routing=routing, late_outputs=True))


FAMILY = Family(ARCHITECTURES, graph)
