"""src/models/lfm2.cpp, lfm2moe.cpp: short convolutions, and attention every few blocks."""

from kvtui.memory.compute.attention import attend, qkv
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import embed, turned
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, scaled, shared_or_dense
from kvtui.memory.compute.recurrent import States, build_rs, hybrid, snapshots, state
from kvtui.memory.compute.tape import Node

ARCHITECTURES = ("lfm2", "lfm2moe")
_PARTS = 3  # of the projection: B, C and x


def graph(g: Build) -> None:
    """llama_model_lfm2::graph."""
    cur = g.inp_embd()
    inp, pos, out_ids = hybrid(g, iswa=g.model.n_swa > 0), g.inp_pos(), g.inp_out_ids()
    routing = Routing(gating(g, "softmax"), scaled=scaled(g), scales=False)
    for il in g.blocks:
        residual = cur
        cur = g.normed(cur, "attn_norm", il)
        if g.layer(il).is_recurrent:
            cur = _convolved(g, inp.states, cur, il)
        else:
            q, k, v = qkv(g, cur, il)
            q, k = turned(g, q, "attn_q_norm", il, pos), turned(g, k, "attn_k_norm", il, pos)
            cur = attend(g, inp.caches, il, q, k, v)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        inner = g.add(residual, cur)
        cur = g.add(inner, shared_or_dense(g, g.normed(inner, "ffn_norm", il), il, routing))
    if g.at.embeddings:  # no logits then
        embed(g, g.build_norm(cur, g.weight("token_embd_norm.weight"), -1))
    else:
        g.finish(cur)


def _convolved(g: Build, inp: States, cur: Node, il: int) -> Node:
    """build_shortconv_block."""
    seqs, width = g.at.seqs, int(g.number("shortconv.l_cache")) - 1
    each = g.tokens // seqs
    bcx = g.proj("shortconv.in_proj", il, g.reshape(cur, cur.ne[0], each, seqs))
    n = bcx.ne[0] // _PARTS
    b, c, x = (g.view(bcx, (n, *bcx.ne[1:3]), bcx.nb[:3], i * n * 4) for i in range(_PARTS))
    bx = g.transpose(g.mul(b, x))
    r = state(g, "r", il, width * n, inp.rows)
    bx = g.concat(g.reshape(build_rs(g, inp, r), width, n, seqs), bx, 0)
    for slot in range(min(each, snapshots(g))):
        last = g.view(bx, (width, *bx.ne[1:3]), bx.nb[:3], (bx.ne[0] - width - slot) * 4)
        g.expand(g.cpy(last, g.view(r, (width * n, seqs), r.nb[:2])))
    y = g.mul(c, g.ssm_conv(bx, g.need("shortconv.conv", il)))
    y = g.proj("shortconv.out_proj", il, y)
    return g.reshape(y, y.ne[0], each * seqs)


FAMILY = Family(ARCHITECTURES, graph)
