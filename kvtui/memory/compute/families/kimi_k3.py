"""src/models/kimi-k3.cpp: delta nets and latent attention, over a mix of what earlier blocks banked."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.families.kimi_linear import attention
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, gating, moe, scaled, situ
from kvtui.memory.compute.kda import kda
from kvtui.memory.compute.mla import latent
from kvtui.memory.compute.recurrent import hybrid, hybrid_k
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("kimi-k3",)


def repeats(_: ModelSpec) -> bool:
    """Not here: the bank grows."""
    return False


def graph(g: Build) -> None:
    """llama_model_kimi_k3::graph."""
    d, every = latent(g), int(g.number("attn_res.block_size"))
    total = g.inp_embd()
    inp, out_ids = hybrid_k(g) if g.model.is_mla else hybrid(g), g.inp_out_ids()
    bank: Node | None = None
    for il in g.blocks:
        cur = _mixed(g, bank, total, g.w("attn_res_score", il))
        banked = every > 0 and il % every == 0
        if banked:
            row = g.reshape(total, g.n_embd, 1, g.tokens)
            bank = row if bank is None else g.concat(bank, row, 1)
        cur = g.normed(cur, "attn_norm", il)
        g.expand(cur)
        cur = kda(g, inp.states, cur, il) if g.layer(il).is_recurrent else attention(g, d, inp, cur, None, il)
        total = cur if banked else g.add(total, cur)
        cur = g.normed(_mixed(g, bank, total, g.w("ffn_res_score", il)), "ffn_norm", il)
        total = g.add(total, _ffn(g, cur, il))
    cur = _mixed(g, bank, total, g.weight("output_res_score.weight"))
    g.finish(g.get_rows(cur, out_ids))


def _mixed(g: Build, bank: Node | None, cur: Node, score: Node | None) -> Node:
    """res_mix: what is banked and the present rows, by how well each scores."""
    if bank is None or score is None:
        return cur
    count, tokens = bank.ne[1], cur.ne[1]
    of_bank = g.reshape(g.sum_rows(g.mul(g.rms_norm(bank), score)), count, tokens)
    own = g.sum_rows(g.mul(g.rms_norm(cur), score))
    probs = g.soft_max(g.concat(of_bank, own, 0))
    p_bank = g.cont(g.view(probs, (count, tokens), probs.nb[:2]))
    p_own = g.cont(g.view(probs, (1, tokens), probs.nb[:2], probs.nb[0] * count))
    return g.add(g.hc_pre(bank, p_bank), g.mul(cur, p_own))


def _ffn(g: Build, cur: Node, il: int) -> Node:
    """build_latent_moe, or a dense network."""
    if g.w("ffn_gate_inp", il) is None:
        return _gated(g, cur, "", il)
    down, up = g.w("ffn_routed_down", il), g.w("ffn_routed_up", il)
    routing = Routing(gating(g, "softmax"), g.flag("expert_weights_norm"), scaled(g), "situ", scales=False)
    routed = g.mm(down, cur) if down is not None else cur
    out = moe(g, routed, il, routing, g.mm(g.w("ffn_gate_inp", il), cur))
    if g.w("ffn_routed_norm", il) is not None:
        out = g.normed(out, "ffn_routed_norm", il)
    if up is not None:
        out = g.mm(up, out)
    return g.add(out, _gated(g, cur, "_shexp", il)) if g.w("ffn_gate_shexp", il) is not None else out


def _gated(g: Build, cur: Node, suffix: str, il: int) -> Node:
    gate, up = g.mm(g.w(f"ffn_gate{suffix}", il), cur), g.mm(g.w(f"ffn_up{suffix}", il), cur)
    return g.mm(g.w(f"ffn_down{suffix}", il), situ(g, gate, up))


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
