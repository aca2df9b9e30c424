"""src/models/gemma3.cpp."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing

ARCHITECTURES = ("gemma3",)


def graph(g: Build) -> None:
    """llama_model_gemma3::graph."""
    decode(
        g,
        Decoder(
            iswa=g.model.n_swa > 0,
            scaled_embd=True,
            scaled_q=True,
            attn_post_norm="post_attention_norm",
            ffn_post_norm="post_ffw_norm",
            routing=Routing(act="gelu", scales=False),
            softcapped=g.number("final_logit_softcapping") > 0,
        ),
    )


FAMILY = Family(ARCHITECTURES, graph)
