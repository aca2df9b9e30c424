"""src/models/chameleon.cpp: logits of image tokens are overwritten."""

from kvtui.memory.compute.attention import attend, caches, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import turned
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.memory.compute.tape import F32

ARCHITECTURES = ("chameleon",)
_IMAGE_TOKENS = 8196 - 4  # chameleon.cpp, img_token_end_idx and img_token_start_idx


def graph(g: Build) -> None:
    """llama_model_chameleon::graph. swin_norm: norms come after what they are of."""
    after = g.flag("swin_norm")
    cur = g.inp_embd()
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        if not after:
            cur = g.normed(cur, "attn_norm", il)
        q, k, v = qkv(g, cur, il)
        q, k = (turned(g, part, role, il, pos, kind="layer") for part, role in ((q, "attn_q_norm"), (k, "attn_k_norm")))
        cur = attend(g, inp, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        if after:
            cur = g.normed(cur, "attn_norm", il)
        inner = g.add(cur, residual)
        cur = dense(g, inner if after else g.normed(inner, "ffn_norm", il), il, scales=False)
        cur = g.add(g.normed(cur, "ffn_norm", il) if after else cur, inner)
    cur = g.build_norm(cur, g.weight("output_norm.weight"), -1)
    cur.name, cur.output = "result_norm", True
    cur = g.mm(g.output_weight(), cur, g.weight("output.scale"))
    cur = g.set(cur, g.clamp(g.new(F32, _IMAGE_TOKENS, name="img_logits")))
    cur.name, cur.output = "result_output", True
    g.expand(cur)


FAMILY = Family(ARCHITECTURES, graph)
