"""src/models/qwen4exp.cpp: parallel residual streams around delta nets and gated attention over picked pools of cells,
with embeddings of n-grams beside them."""

from kvtui.memory.compute.attention import attend, project
from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.delta import convolved, delta_net
from kvtui.memory.compute.families.qwen35 import gated_ffn
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, scaled
from kvtui.memory.compute.pools import Pools, opened, part, pools, stored
from kvtui.memory.compute.recurrent import Hybrid, States, hybrid, state
from kvtui.memory.compute.tape import F32, I32, Node
from kvtui.model.spec import ModelSpec

ARCHITECTURES = ("qwen4exp",)
_SECTIONS = 4  # positions a token: rope in sections


def repeats(_: ModelSpec) -> bool:
    """Not here: every indexer's empty rows are placed before anything else."""
    return False


def graph(g: Build) -> None:
    """llama_model_qwen4exp::graph."""
    first, streams = g.at.build.has("own_rows_first"), int(g.number("hyper_connection.count"))
    grams = _grams(g) if first else None
    cur = g.inp_embd()
    g.expand(cur)
    inp = hybrid(g)
    indexed = any(x.index_k for x in g.model.layers) and g.number("attention.indexer.kpool") > 0
    picked = pools(g, half=True, ordered=False) if indexed else None
    pos, out_ids = g.inp_pos(_SECTIONS), g.inp_out_ids()
    grams = grams if first else _grams(g)
    x = g.repeat(g.reshape(cur, g.n_embd, 1, g.tokens), g.n_embd, streams, g.tokens)
    g.expand(x)
    routing = Routing(scaled=scaled(g))
    for il in g.blocks:
        if grams is not None and g.w("ple_key", il) is not None:
            x = _with_grams(g, inp.states, grams, x, il)
        cur, inject = _mixed(g, x, "hc_attn", il)
        g.expand(cur)
        if g.layer(il).is_recurrent:
            cur = delta_net(g, inp.states, cur, il)
        else:
            cur = _attention(g, inp, picked, cur, pos, il)
        if g.last(il):
            cur, inject = g.outputs_only(il, out_ids, cur, inject)
            flat = g.get_rows(g.reshape(x, g.n_embd * streams, x.ne[2]), out_ids)
            x = g.reshape(flat, g.n_embd, streams, flat.ne[1])
        x = _combined(g, x, cur, inject)
        cur, inject = _mixed(g, x, "hc_ffn", il)
        x = _combined(g, x, gated_ffn(g, cur, il, routing), inject)
    cur = _merged(g, x)
    cur.name, cur.output = "result_norm", True
    g.head(cur)


def _mixed(g: Build, x: Node, role: str, il: int) -> tuple[Node, Node]:
    """build_hc_mix: the streams' gated mean, and how much of a block's output each gets."""
    n, streams, tokens, _ = x.ne
    rows = g.reshape(g.mul(g.rms_norm(x), g.need(f"{role}_norm", il)), n * streams, tokens)
    gate = g.mm(g.w(f"{role}_up", il), g.unary("silu", g.scale(g.mm(g.w(f"{role}_down", il), rows))))
    out = g.hc_pre(g.reshape(rows, n, streams, tokens), g.reshape(gate, n, streams, tokens))
    return out, g.mm(g.w(f"{role}_inject", il), rows)


def _merged(g: Build, x: Node) -> Node:
    """The same at the end, which stands for the output's norm."""
    n, streams, tokens, _ = x.ne
    norm = g.weight("output_hc_norm.weight")
    if norm is None:
        raise MissingTensorError
    rows = g.reshape(g.mul(g.rms_norm(x), norm), n * streams, tokens)
    low = g.unary("silu", g.scale(g.mm(g.weight("output_hc_down.weight"), rows)))
    gated = g.mul(rows, g.unary("sigmoid", g.mm(g.weight("output_hc_up.weight"), low)))
    gated = g.reshape(gated, n, streams, tokens)
    parts = [g.view(gated, (n, tokens), (4, gated.nb[2]), i * gated.nb[1]) for i in range(streams)]
    total = g.cont(parts[0])
    for other in parts[1:]:
        total = g.add(total, other)
    return g.scale(total)


def _combined(g: Build, x: Node, out: Node, inject: Node) -> Node:
    """build_hc_combine."""
    return g.hc_post(out, x, g.scale(g.unary("sigmoid", g.scale(inject))))


def _grams(g: Build) -> Node | None:
    """build_inp_ple: rows of a shared table for each token's n-grams."""
    table = g.weight("per_layer_token_embd.weight")
    heads = int(g.number("ple.heads_per_ngram")) * (int(g.number("ple.ngram_size")) - 1)
    if table is None or heads <= 0:
        return None
    rows = g.get_rows(table, g.input(I32, heads * g.tokens, name="rows of n-grams"))
    rows = g.reshape(rows, table.ne[0] * heads, g.tokens)
    g.expand(rows)
    return rows


def _with_grams(g: Build, inp: States, grams: Node, x: Node, il: int) -> Node:
    """build_ple: gated, and convolved along the tokens."""
    n, streams, tokens, seqs = g.n_embd, x.ne[1], g.tokens, g.at.seqs
    width, each = n * streams, tokens // seqs

    def grouped(rows: Node, role: str) -> Node:
        return g.mul(g.rms_norm(g.reshape(rows, n, streams, tokens)), g.need(role, il))

    key = grouped(g.mm(g.w("ple_key", il), grams), "ple_norm_key")
    score = g.scale(g.sum_rows(g.mul(key, grouped(x, "ple_norm_query"))))
    size = g.sqrt(g.clamp(g.unary("abs", score)))
    gate = g.unary("sigmoid", g.mul(g.unary("sgn", score), size))
    value = g.reshape(g.mm(g.w("ple_value", il), grams), n, 1, tokens)
    gated = g.mul(g.repeat(value, n, streams, tokens), gate)
    rows = g.reshape(grouped(gated, "ple_norm_conv"), width, each, seqs)
    taps, step = int(g.number("ple.conv_kernel")), int(g.number("ple.ngram_size"))
    held = (taps - 1) * step
    p = state(g, "p", il, held * width, inp.rows)
    x_conv = convolved(g, inp, p, rows, held, width, copied=True)
    kernel, out = g.need("ple_conv1d", il), None
    for tap in range(taps):
        shifted = g.view(x_conv, (each, width, seqs), x_conv.nb[:3], tap * step * 4)
        column = g.cont(g.view(kernel, (1, width), kernel.nb[:2], tap * kernel.nb[0]))
        column = g.reshape(column, width)
        if column.dtype is not F32:
            column = g.cast(column, F32)
        term = g.mul(g.cont(g.transpose(shifted)), column)
        out = term if out is None else g.add(out, term)
    if out is None:
        raise MissingTensorError
    out = g.reshape(g.cont(g.unary("silu", out)), n, streams, tokens)
    return g.add(x, g.add(gated, out))


def _attention(g: Build, inp: Hybrid, picked: Pools | None, cur: Node, pos: Node, il: int) -> Node:
    """build_layer_attn: Q and its gate come from one projection."""
    x = g.layer(il)
    mask: Node | None = None
    if picked is not None and g.number_of("attention.compress_ratios", il) > 0:
        mask = _selected(g, picked, cur, pos, inp.caches.full.mask, il)
    full, row = g.proj("attn_q", il, cur), x.head_k * 4
    q, gate = (g.view(full, (x.head_k, x.n_head, g.tokens), (4, 2 * row, 2 * row * x.n_head), i * row) for i in (0, 1))
    q = g.normed(q, "attn_q_norm", il)
    k = g.normed(g.reshape(g.proj("attn_k", il, cur), x.head_k, x.n_head_kv, g.tokens), "attn_k_norm", il)
    v = g.reshape(g.proj("attn_v", il, cur), x.head_v, x.n_head_kv, g.tokens)
    if mask is not None:
        mask = g.reshape(mask, *inp.caches.full.mask.ne)
    out = attend(g, inp.caches, il, g.rope(q, pos), g.rope(k, pos), v, out=False, mask=mask)
    gate = g.unary("sigmoid", g.cont(gate, x.head_k * x.n_head, g.tokens))
    return project(g, g.mul(out, gate), il)


def _selected(g: Build, inp: Pools, cur: Node, pos: Node, kq_mask: Node, il: int) -> Node:
    """build_qsa_sel."""
    values, heads = (int(g.number(f"attention.indexer.{k}")) for k in ("key_length", "head_count"))
    tokens = g.tokens
    raw = g.mm(g.w("indexer.k_proj", il), cur)
    packed = g.reshape(g.concat(raw, g.fill(g.new(F32, values, tokens)), 0), 2 * values, 1, tokens)
    cache = stored(g, inp, packed, values, il)
    pooled = _pooled(g, inp, cache, values, il)
    q = g.reshape(g.mm(g.w("indexer.q_proj", il), cur), values, heads, tokens)
    q = g.rope(g.normed(q, "indexer.q_norm", il), pos)
    score = g.lightning_indexer(q, pooled, g.fill(g.new(F32, heads, tokens)), inp.mask)
    best = min(inp.count, int(g.number("attention.indexer.top_k")) // inp.cells)
    top = g.top_k(score, best)
    chosen = g.reshape(g.get_rows(inp.members, g.reshape(top, best * tokens)), inp.cells * best, tokens)
    chosen = g.concat(chosen, inp.tail, 0)
    g.expand(chosen)
    scores = g.get_rows(g.reshape(score, 1, inp.count, tokens), top)
    live = g.repeat(g.clamp(g.scale(scores)), inp.cells, best, tokens)
    tail = g.clamp(g.scale(g.cast(inp.tail, F32)))
    live = g.concat(g.reshape(live, inp.cells * best, tokens), tail, 0)
    found = opened(g, inp, kq_mask, chosen, live, g.scale(g.cumsum(g.fill(live))))
    row, ne = found.nb[2], kq_mask.ne
    kept = g.view(found, ne, (found.nb[0], row, row * ne[1], row * ne[1] * ne[2]))
    return g.add(kept, kq_mask)


def _pooled(g: Build, inp: Pools, cache: Node, values: int, il: int) -> Node:
    """A key of every pool: the mean of its members' keys."""
    rows = g.get_rows(part(g, cache, values, 0), g.reshape(inp.new_members, inp.cells * inp.new))
    rows = g.reshape(rows, values, inp.cells, inp.new)
    members = [g.view(rows, (values, inp.new), (4, rows.nb[2]), i * rows.nb[1]) for i in range(inp.cells)]
    total = g.cont(members[0])
    for member in members[1:]:
        total = g.add(total, member)
    new = g.reshape(g.normed(g.scale(total), "indexer.k_norm", il), values, 1, inp.new)
    new = g.reshape(g.rope(new, inp.new_pos), values, inp.new)
    held = part(g, cache, values, values)
    g.expand(g.set_rows(held, new, inp.new_cells))
    return g.reshape(g.get_rows(held, inp.key_cells), values, 1, inp.count)


FAMILY = Family(ARCHITECTURES, graph, repeats=repeats)
