"""src/models/t5.cpp, t5encoder.cpp: positions as a bias of the scores, which no flash attention takes; T5's decoder, which is
what is reserved, attends to a whole window of its encoder's rows too."""

from kvtui.memory.compute.attention import attend, attend_uncached, caches, mha, uncached
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import embed
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.tape import F16, F32, I32, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("t5", "t5encoder")


def repeats(model: ModelSpec) -> bool:
    """Not where blocks read the first one's bias (attn_rel_b)."""
    return False


def graph(g: Build) -> None:
    """The graph of the architecture."""
    if g.model.architecture == "t5":
        _decoder(g)
    else:
        _encoder(g)


def _w(g: Build, side: str, role: str, il: int) -> Node | None:
    return g.weight(f"{side}.blk.{il}.{role}.weight")


def _mm(g: Build, side: str, role: str, il: int, cur: Node) -> Node:
    return g.mm(_w(g, side, role, il), cur)


def _normed(g: Build, side: str, role: str, il: int, cur: Node) -> Node:
    return g.build_norm(cur, _w(g, side, role, il), il)


def _heads(g: Build, side: str, role: str, il: int, cur: Node, of_rows: Node) -> tuple[Node, Node, Node]:
    """Q of `cur`, K and V of `of_rows`."""
    x = g.layer(il)
    q, k, v = (_mm(g, side, f"{role}_{p}", il, rows) for p, rows in (("q", cur), ("k", of_rows), ("v", of_rows)))
    return (
        g.reshape(q, x.head_k, x.n_head, cur.ne[1]),
        g.reshape(k, x.head_k, x.n_head_kv, of_rows.ne[1]),
        g.reshape(v, x.head_v, x.n_head_kv, of_rows.ne[1]),
    )


def _bias(g: Build, side: str, il: int, buckets: Node) -> Node:
    """build_pos_bias."""
    table = _w(g, side, "attn_rel_b", il)
    if table is None:
        table = _w(g, side, "attn_rel_b", 0)
    assert table is not None
    rows = g.get_rows(table, g.reshape(buckets, buckets.elements))
    return g.cont(g.permute(g.reshape(rows, rows.ne[0], *buckets.ne[:2]), 2, 0, 1, 3))


def _network(g: Build, side: str, il: int, inner: Node) -> Node:
    cur = _normed(g, side, "ffn_norm", il, inner)
    up = _mm(g, side, "ffn_up", il, cur)
    gate = _w(g, side, "ffn_gate", il)
    cur = g.glu(g.mm(gate, cur), up) if gate is not None else g.unary("relu", up)
    return g.add(_mm(g, side, "ffn_down", il, cur), inner)


def _encoder(g: Build) -> None:
    """llama_model_t5::graph<true>."""
    cur = g.inp_embd()
    buckets = g.input(I32, g.tokens, g.tokens, name="pos_bucket_enc")
    masks, out_ids = uncached(g), g.inp_out_ids()
    for il in g.blocks:
        residual = cur
        cur = _normed(g, "enc", "attn_norm", il, cur)
        q, k, v = _heads(g, "enc", "attn", il, cur, cur)
        cur = attend_uncached(g, masks, il, q, k, v, out=False, bias=_bias(g, "enc", il, buckets))
        cur = _mm(g, "enc", "attn_o", il, cur)
        cur, residual = g.outputs_only(il, out_ids, cur, residual)
        cur = _network(g, "enc", il, g.add(cur, residual))
    embed(g, g.build_norm(cur, g.weight("enc.output_norm.weight"), -1))


def _decoder(g: Build) -> None:
    """llama_model_t5::graph<false>."""
    cur = g.inp_embd()
    window = g.model.n_ctx_train
    encoded = g.input(F32, int(g.n_embd), window, name="cross_embd")
    buckets = g.input(I32, g.at.cells, g.tokens, name="pos_bucket_dec")
    inp = caches(g)
    across = g.input(F16 if g.at.flash else F32, window, g.tokens, name="cross KQ mask")
    out_ids = g.inp_out_ids()
    count = int(g.number("decoder_block_count", g.model.n_layer))
    for il in [il for il in g.blocks if il < count]:
        residual = cur
        cur = _normed(g, "dec", "attn_norm", il, cur)
        q, k, v = _heads(g, "dec", "attn", il, cur, cur)
        cur = attend(g, inp, il, q, k, v, out=False, bias=_bias(g, "dec", il, buckets))
        middle = g.add(_mm(g, "dec", "attn_o", il, cur), residual)
        cur = _normed(g, "dec", "cross_attn_norm", il, middle)
        q, k, v = _heads(g, "dec", "cross_attn", il, cur, encoded)
        for part in (q, k, v):
            g.expand(part)
        cur = _mm(g, "dec", "cross_attn_o", il, mha(g, il, q, k, v, across))
        if il == count - 1:
            cur, middle = g.get_rows(cur, out_ids), g.get_rows(middle, out_ids)
        cur = _network(g, "dec", il, g.add(cur, middle))
    cur = g.build_norm(cur, g.weight("dec.output_norm.weight"), -1)
    cur.name, cur.output = "result_norm", True
    g.head(cur)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats, across=("t5",))
