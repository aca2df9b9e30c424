"""Graphs of image encoders, a function a projector type (tools/mtmd/models/*.cpp), and the image each warms up with
(tools/mtmd/clip.cpp, load_hparams)."""

from collections.abc import Callable

from kvtui.memory.beside.vit import Vit
from kvtui.memory.compute.tape import F16, F32, I32, Node

Position = Callable[[Node], Node]


def transformer(
    g: Vit, cur: Node, rows: int, kind: str, learned: Node | None = None, turn: Position | None = None, bare_v: bool = False
) -> Node:
    """build_vit: `rows` of n_embd values through all blocks. `kind`: of the norms; `turn`: what is done to Q and K;
    `bare_v`: V is normed too."""
    if learned is not None:
        cur = g.add(cur, learned)
    cur = g.reshape(cur, g.n_embd, rows)
    if g.w("v.pre_ln.weight") is not None:
        cur = g.normed(cur, "v.pre_ln", kind)
    for il in range(g.n_layer):
        at = f"v.blk.{il}"
        q, k, v = _qkv(g, g.normed(cur, f"{at}.ln1", kind), at, rows, kind)
        if turn is not None:
            q, k = turn(q), turn(k)
        if bare_v:
            v = g.rms_norm(v)
        out = g.mm(f"{at}.attn_out", g.attend(q, k, v))
        cur = _block_end(g, out, cur, at, kind)
    if g.w("v.post_ln.weight") is not None:
        cur = g.normed(cur, "v.post_ln", kind)
    return g.reshape(cur, g.n_embd, rows)


def _qkv(g: Vit, cur: Node, at: str, rows: int, kind: str) -> tuple[Node, Node, Node]:
    if g.w(f"{at}.attn_qkv.weight") is not None:
        both = g.mm(f"{at}.attn_qkv", cur)
        width = g.d_head * 4
        q, k, v = (g.view(both, (g.d_head, g.n_head, rows), (4, width, both.nb[1]), i * g.n_head * width) for i in range(3))
        q, k = (_normed_head(g, part, f"{at}.attn_{name}_norm", kind) for part, name in ((q, "q"), (k, "k")))
        return q, k, v
    parts = []
    for name, heads in (("q", g.n_head), ("k", g.n_head_kv), ("v", g.n_head_kv)):
        part = g.mm(f"{at}.attn_{name}", cur)
        norm = g.w(f"{at}.attn_{name}_norm.weight")
        each = norm is not None and norm.ne[0] == g.d_head
        if norm is not None and not each:
            part = g.normed(part, f"{at}.attn_{name}_norm", kind)
        part = g.reshape(part, g.d_head, heads, rows)
        parts.append(g.normed(part, f"{at}.attn_{name}_norm", kind) if each else part)
    return parts[0], parts[1], parts[2]


def _normed_head(g: Vit, part: Node, name: str, kind: str) -> Node:
    return g.normed(part, name, kind) if g.w(f"{name}.weight") is not None else part


def _block_end(g: Vit, out: Node, residual: Node, at: str, kind: str) -> Node:
    """Scales, the residual, and the feed-forward network."""
    out = _scaled(g, out, f"{at}.ls1.weight")
    if g.w(f"{at}.attn_post_norm.weight") is not None:
        out = g.normed(out, f"{at}.attn_post_norm", kind)
    inner = g.add(out, residual)
    out = g.ffn(g.normed(inner, f"{at}.ln2", kind), f"{at}.ffn_up", f"{at}.ffn_down", f"{at}.ffn_gate")
    if g.w(f"{at}.ffn_post_norm.weight") is not None:
        out = g.normed(out, f"{at}.ffn_post_norm", kind)
    return _scaled(g, g.add(inner, _scaled(g, out, f"{at}.ls2.weight")), f"{at}.out_scale.weight")


def _scaled(g: Vit, cur: Node, name: str) -> Node:
    w = g.w(name)
    return g.mul(cur, w) if w is not None else cur


def _two_by_two(g: Vit, cur: Node) -> Node:
    """Rows so that the four patches of a token follow each other."""
    n = g.sizes.across
    cur = g.reshape(g.cont(cur, g.n_embd * 2, n // 2, n), g.n_embd * 2, n // 2, 2, n // 2)
    return g.cont(g.permute(cur, 0, 2, 1, 3), g.n_embd, g.patches)


def _merged_frames(g: Vit) -> Node:
    """build_inp_with_temporal_merge: a still image stands for two frames."""
    raw = g.raw()
    first = g.conv_2d(g.need("v.patch_embd.weight"), raw, g.sizes.patch)
    return g.permute(g.add(first, g.conv_2d(g.need("v.patch_embd.weight.1"), raw, g.sizes.patch)), 1, 2, 0, 3)


def qwen3vl(g: Vit) -> None:
    """clip_graph_qwen3vl::build."""
    cur = _two_by_two(g, _merged_frames(g))
    cur = g.add(cur, g.need("v.patch_embd.bias"))
    cur = g.add(cur, _two_by_two(g, g.position_rows()))
    positions, deep = g.input(I32, g.patches * 4, name="positions"), None
    merge = g.sizes.merge**2
    for il in range(g.n_layer):
        at = f"v.blk.{il}"
        q, k, v = _qkv(g, g.normed(cur, f"{at}.ln1", "layer"), at, g.patches, "layer")
        out = g.mm(f"{at}.attn_out", g.attend(g.rope(q, positions), g.rope(k, positions), v))
        cur = _block_end(g, out, cur, at, "layer")
        stack = f"v.deepstack.{il}"
        if g.w(f"{stack}.fc1.weight") is not None:
            rows = g.normed(g.reshape(cur, g.n_embd * merge, g.patches // merge), f"{stack}.norm", "layer")
            rows = g.ffn(rows, f"{stack}.fc1", f"{stack}.fc2")
            deep = rows if deep is None else g.concat(deep, rows, 0)
    if g.w("v.post_ln.weight") is not None:
        cur = g.normed(cur, "v.post_ln", "layer")
    cur = g.ffn(g.reshape(cur, g.n_embd * 4, g.patches // 4), "mm.0", "mm.2")
    g.expand(cur if deep is None else g.concat(cur, deep, 0))


def qwen2vl(g: Vit) -> None:
    """clip_graph_qwen2vl::build, of Qwen 2 and 2.5; the latter's blocks look at windows, a few at all."""
    kind = "rms" if g.file.encoders[0].kind == "qwen2.5vl_merger" else "layer"
    cur = _two_by_two(g, _merged_frames(g))
    positions = g.input(I32, g.patches * 4, name="positions")
    pattern, mask = int(g.file.number("vision.n_wa_pattern")), None
    tokens = g.patches // 4
    if pattern:
        order = g.input(I32, tokens, name="inv_window_idx")
        mask = g.input(F32, g.patches, g.patches, name="window_mask")
        # cast once here, and once more by each attention
        mask = g.cast(mask, F16) if g.flash else mask
        cur = g.reshape(g.get_rows(g.reshape(cur, g.n_embd * 4, tokens), order), g.n_embd, g.patches)
    for il in range(g.n_layer):
        at = f"v.blk.{il}"
        q, k, v = _qkv(g, g.normed(cur, f"{at}.ln1", kind), at, g.patches, kind)
        seen = None if not pattern or (il + 1) % pattern == 0 else mask
        out = g.mm(f"{at}.attn_out", g.attend(g.rope(q, positions), g.rope(k, positions), v, seen))
        cur = _block_end(g, out, cur, at, kind)
    if g.w("v.post_ln.weight") is not None:
        cur = g.normed(cur, "v.post_ln", kind)
    cur = g.ffn(g.reshape(cur, g.n_embd * 4, tokens), "mm.0", "mm.2")
    if pattern:
        cur = g.get_rows(cur, g.input(I32, tokens, name="window_idx"))
    g.expand(cur)


def gemma3(g: Vit) -> None:
    """clip_graph_siglip::build of Gemma 3: pooled patches."""
    cur = transformer(g, g.inp(), g.patches, "layer", g.need("v.position_embd.weight"))
    n = g.sizes.across
    cur = g.pool_2d(g.cont(g.transpose(cur), n, n, g.n_embd), g.sizes.merge)
    cur = g.cont(g.transpose(g.reshape(cur, cur.ne[0] ** 2, g.n_embd)))
    cur = g.mul(g.rms_norm(cur), g.need("mm.soft_emb_norm.weight"))
    g.expand(g.mul_mat(g.cont(g.transpose(g.need("mm.input_projection.weight"))), cur))


def gemma4(g: Vit) -> None:
    """clip_graph_gemma4v::build."""
    g.clamps = True
    cur = g.rows_of(g.conv_2d(g.need("v.patch_embd.weight"), g.scale(g.raw()), g.sizes.patch))
    x, y = g.input(I32, g.patches, name="pos_x"), g.input(I32, g.patches, name="pos_y")
    table = g.need("v.position_embd.weight")
    size = table.ne[1]
    for i, ids in enumerate((x, y)):
        cur = g.add(cur, g.get_rows(g.view(table, (g.n_embd, size), table.nb[:2], i * size * table.nb[1]), ids))
    cur = transformer(g, cur, g.patches, "rms", turn=lambda part: g.rope(g.rope(part, x), y), bare_v=True)
    n = g.sizes.across
    cur = g.pool_2d(g.cont(g.transpose(cur), n, n, g.n_embd), g.sizes.merge)
    cur = g.scale(g.cont(g.transpose(g.reshape(cur, cur.ne[0] ** 2, g.n_embd))))
    bias, scale = g.w("v.std_bias"), g.w("v.std_scale")
    if bias is not None and scale is not None:
        cur = g.mul(g.sub(cur, bias), scale)
    g.expand(g.mm("mm.input_projection", g.rms_norm(cur)))


def pixtral(g: Vit) -> None:
    """clip_graph_pixtral::build."""
    n = g.sizes.across
    h, w = g.input(I32, g.patches, name="pos_h"), g.input(I32, g.patches, name="pos_w")
    cur = transformer(g, g.inp(), g.patches, "rms", turn=lambda part: g.rope(g.rope(part, h), w))
    merger, merge = g.w("mm.patch_merger.weight"), g.sizes.merge
    if merger is not None:
        cur = g.mul(g.rms_norm(cur), g.need("mm.input_norm.weight"))
        cur = g.cont(g.permute(g.reshape(cur, g.n_embd, n, n), 2, 0, 1, 3))
        cur = g.im2col(g.view(cur, (merge, merge, cur.ne[2]), (4, 0, 0)), cur, merge, F32)
        cur = g.mul_mat(merger, g.reshape(cur, cur.ne[0], cur.ne[1] * cur.ne[2]))
    cur = g.ffn(cur, "mm.1", "mm.2")
    stop = g.w("v.token_embd.img_break")
    if stop is not None:
        side = n // merge
        row = g.add(g.scale(g.new(F32, cur.ne[0], 1, side, name="image row")), stop)
        both = g.concat(g.reshape(cur, cur.ne[0], side, side), row, 1)
        cur = g.view(both, (cur.ne[0], side * side + side - 1))
    g.expand(cur)


def internvl(g: Vit) -> None:
    """clip_graph_internvl::build."""
    token = g.need("v.class_embd")
    cur = g.concat(g.inp(), g.repeat(token, token.ne[0], 1), 1)
    kind = "rms" if (g.n_embd, g.n_layer) == (3200, 45) else "layer"
    cur = transformer(g, cur, g.patches + 1, kind, g.need("v.position_embd.weight"))
    cur = g.cont(g.view(cur, (g.n_embd, g.patches), cur.nb[:2]))
    n, merge = g.sizes.across, g.sizes.merge
    cur = g.permute(g.reshape(cur, g.n_embd * merge, n // merge, n), 0, 2, 1, 3)
    cur = g.permute(g.cont(cur, g.n_embd * merge**2, n // merge, n // merge), 0, 2, 1, 3)
    cur = g.normed(g.cont(cur, g.n_embd * merge**2, (n // merge) ** 2), "mm.model.mlp.0", "layer")
    g.expand(g.ffn(cur, "mm.model.mlp.1", "mm.model.mlp.3"))
