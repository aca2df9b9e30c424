"""src/models/hrm-text.cpp: two stacks of blocks, run again and again over the same rows; each run keeps K/V of its own."""

from kvtui.memory.compute.attention import Caches, attend, caches
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import dense
from kvtui.memory.compute.tape import Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("hrm_text",)


def repeats(model: ModelSpec) -> bool:
    """Not where runs share the tensors of the first."""
    return False


def graph(g: Build) -> None:
    """llama_model_hrm_text::graph."""
    slots, each = iter(g.blocks), int(g.number("hrm.layers_per_stack"))
    low_cycles = int(g.number("hrm.l_cycles"))
    high = g.inp_embd()
    low = g.weight("hrm.z_l_init")
    if low is None:
        raise MissingTensorError
    if g.number("embedding_scale") not in (0, 1):
        high = g.scale(high)
    pos, inp, out_ids = g.inp_pos(), caches(g), g.inp_out_ids()
    for _ in range(int(g.number("hrm.h_cycles"))):
        for _ in range(low_cycles):
            low = _stack(g, inp, pos, g.add(high, low), [(next(slots), i) for i in range(each)])
        high = _stack(g, inp, pos, g.add(high, low), [(next(slots), each + i) for i in range(each)])
    cur = g.get_rows(high, out_ids)
    cur.name, cur.output = "result_norm", True
    g.head(cur)


def _stack(g: Build, inp: Caches, pos: Node, cur: Node, blocks: list[tuple[int, int]]) -> Node:
    """build_stack. `blocks`: whose K/V is kept, and whose tensors are used."""
    for slot, il in blocks:
        residual = cur
        cur = g.rms_norm(cur)
        gate = g.mm(g.w("attn_gate", il), cur)
        q, k, v = _heads(g, cur, slot, il)
        cur = attend(g, inp, slot, g.rope(q, pos), g.rope(k, pos), v, out=False)
        cur = g.mul(cur, g.unary("sigmoid", gate))
        cur = g.mm(g.w("attn_output", il), cur, g.w("attn_output", slot, "scale"))
        inner = g.add(cur, residual)
        cur = g.add(dense(g, g.rms_norm(inner), il, scales=False), inner)
    return g.rms_norm(cur)


def _heads(g: Build, cur: Node, slot: int, il: int) -> list[Node]:
    """build_qkv: scales are those of the run, whosever tensors it takes."""
    x, heads = g.layer(slot), []
    for role, head, count in (("q", x.head_k, x.n_head), ("k", x.head_k, x.n_head_kv), ("v", x.head_v, x.n_head_kv)):
        part = g.mm(g.w(f"attn_{role}", il), cur, g.w(f"attn_{role}", slot, "scale"))
        bias = g.w(f"attn_{role}", il, "bias")
        heads.append(g.reshape(part if bias is None else g.add(part, bias), head, count, g.tokens))
    return heads


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
