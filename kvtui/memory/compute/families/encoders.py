"""src/models/eurobert.cpp, gemma-embedding.cpp, llama-embed.cpp, modern-bert.cpp, neo-bert.cpp: blocks of decoders without
a cache, and rows instead of logits."""

from dataclasses import replace

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing

ARCHITECTURES = ("eurobert", "gemma-embedding", "llama-embed", "modern-bert", "neo-bert")
_HALVES = Routing(act="swiglu", scales=False)  # `up` holds the gate too, whatever activates it


def _no_factors(g: Build, il: int) -> bool:
    return False


_BARE = Decoder(cached=False, embeds="output_norm", factors=_no_factors, routing=Routing(scales=False))
FAMILIES = {
    "eurobert": _BARE,
    "gemma-embedding": replace(
        _BARE,
        iswa=True,
        scaled_embd=True,
        scaled_q=True,
        attn_post_norm="post_attention_norm",
        ffn_post_norm="post_ffw_norm",
        routing=Routing(act="gelu", scales=False),
    ),
    "llama-embed": Decoder(cached=False, embeds="output_norm"),
    "modern-bert": replace(_BARE, norm="layer", iswa=True, normed_embd=True, attn_norm_missing=True, routing=_HALVES),
    "neo-bert": replace(_BARE, embeds="enc.output_norm", routing=_HALVES),
}


def graph(g: Build) -> None:
    """The graphs of these families in src/models."""
    decode(g, FAMILIES[g.model.architecture])


FAMILY = Family(ARCHITECTURES, graph)
