"""src/models/grok.cpp: four norms a block, and a dense network beside the experts where the file has one."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, dense, moe
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("grok",)


def graph(g: Build) -> None:
    """llama_model_grok::graph."""
    decode(
        g,
        Decoder(
            scaled_rows=True,
            attn_post_norm="attn_output_norm",
            ffn_post_norm="layer_output_norm" if g.has("blk.0.layer_output_norm.weight") else "post_ffw_norm",
            post_norm_pinned=True,
            routing=Routing(act="gelu", scales=False),
            network=_network,
            scaled_logits=1,
            softcapped=g.number("final_logit_softcapping") > 0,
        ),
    )


def _network(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """Both together times sqrt(2) / 2."""
    out = moe(g, cur, il, routing)
    if g.w("ffn_up", il) is None:
        return out
    return g.scale(g.add(dense(g, cur, il, routing.act, scales=routing.scales), out))


FAMILY = Family(ARCHITECTURES, graph)
