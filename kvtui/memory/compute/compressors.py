"""DeepSeek V4's compressed caches: neighbouring tokens become one row of K, by a state that holds the last of them
(src/models/deepseek4.cpp, llama-kv-cache-dsv4.cpp)."""

from dataclasses import dataclass

from kvtui.memory.compute.attention import store, turn
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.recurrent import snapshots
from kvtui.memory.compute.tape import F16, F32, I32, I64, Node

CSA_RATIO, HCA_RATIO = 4, 128  # tokens a compressed row (DSV4_CSA_RATIO, DSV4_HCA_RATIO)
_PADDED = 256  # cells of a compressed cache are a multiple
_TURNED = 64  # llama-kv-cache.cpp: the smallest matrix that keys are turned by


@dataclass(frozen=True)
class Compressor:
    """llm_graph_input_dsv4::comp_input. `part`: its cache; `rows`: of its state, all slots; `overlaps`: a row is made of
    two windows."""

    part: str
    ratio: int
    overlaps: bool
    head: int
    rows: int
    blocks: int
    cells: int
    pos: Node
    kept_from: Node
    kept_at: Node
    restored: tuple[Node, Node] | None
    held: tuple[Node, Node] | None
    read: Node
    write: Node
    write_pos: Node
    mask: Node
    rotation: Node | None


def rotation(g: Build, head: int, always: bool = False) -> Node | None:
    """The matrix that keys are turned by: of a quantised cache, and of the indexer's always."""
    if not (always or (g.at.type_k.quantized and head % _TURNED == 0)):
        return None
    side = max(_TURNED, head & -head)  # the largest power of two that divides it
    return g.input(F32, side, side, name="k_rot")


def compressor(g: Build, part: str, ratio: int, head: int, half: bool, turned: bool = False) -> Compressor:
    """Its inputs (dsv4_build_reserve_comp_plan). `half`: the mask is f16; `turned`: keys are, whatever the cache's type."""
    at, overlaps = g.at, ratio == CSA_RATIO
    rows = (2 * ratio if overlaps else ratio) * at.streams
    blocks, kept, behind = at.tokens // ratio + at.seqs, min(at.tokens, rows), snapshots(g) - 1
    compressed = -(-at.cells // ratio)
    cells = max(_PADDED, -(-compressed // _PADDED) * _PADDED)

    def ids(n: int, what: str) -> Node:
        return g.input(I32, n, name=f"{part} {what}")

    return Compressor(
        part=part,
        ratio=ratio,
        overlaps=overlaps,
        head=head,
        rows=rows,
        blocks=blocks,
        cells=cells,
        pos=ids(at.tokens, "pos"),
        kept_from=ids(kept, "kept from"),
        kept_at=ids(kept, "kept at"),
        restored=(ids(rows, "restored from"), ids(rows, "restored at")) if behind else None,
        held=(ids(rows * behind, "held from"), ids(rows * behind, "held at")) if behind else None,
        read=ids((2 if overlaps else 1) * ratio * blocks, "read"),
        write=g.input(I64, blocks, name=f"{part} write"),
        write_pos=ids(blocks, "write pos"),
        mask=g.input(F16 if half else F32, cells, at.tokens // at.streams, 1, at.streams, name=f"{part} mask"),
        rotation=rotation(g, head, turned),
    )


def cache_of(g: Build, c: Compressor, il: int) -> Node:
    """The compressed rows of a block."""
    return g.cached(c.part, il, g.at.type_k, c.head, c.cells, g.at.streams)


def compress(g: Build, c: Compressor, cur: Node, role: str, il: int) -> None:
    """A batch goes into the state, and the rows that are complete into the cache. `role`: of the tensors."""
    state_kv = g.proj(f"{role}_kv", il, cur)
    ape = g.get_rows(g.need(f"{role}_ape", il), c.pos)
    state_score = g.add(g.proj(f"{role}_gate", il, cur), ape)
    width, planes = state_kv.ne[0], c.rows * snapshots(g)
    all_rows = []
    for part in ("kv", "score"):
        state = g.cached(f"{c.part}_{part}", il, F32, width, planes)
        rows = g.view(state, (width, planes), state.nb[:2])
        if c.restored is not None:
            rows = g.set_rows(rows, g.get_rows(rows, c.restored[0]), c.restored[1])
        all_rows.append(rows)
    news = (state_kv, state_score)
    sources = [g.concat(g.view(a, (width, c.rows), a.nb[:2]), new, 1) for a, new in zip(all_rows, news, strict=True)]
    rows = _overlapping(g, c, *sources) if c.overlaps else _plain(g, c, *sources)
    rows = g.rope(g.build_norm(rows, g.w(f"{role}_norm", il), il), c.write_pos)
    if c.rotation is not None:
        rows = turn(g, rows, c.rotation)
    g.expand(store(g, cache_of(g, c, il), rows, c.write, c.cells))
    if c.held is not None:
        for a, new in zip(all_rows, news, strict=True):
            g.expand(g.set_rows(a, g.get_rows(g.concat(a, new, 1), c.held[0]), c.held[1]))
    for part, new in zip(("kv", "score"), news, strict=True):
        state = g.cached(f"{c.part}_{part}", il, F32, width, planes)
        g.expand(g.set_rows(g.view(state, (width, planes), state.nb[:2]), g.get_rows(new, c.kept_from), c.kept_at))


def _plain(g: Build, c: Compressor, kv: Node, score: Node) -> Node:
    """build_hca_compressed_kv_from_state."""
    kv, score = (g.reshape(g.get_rows(t, c.read), c.head, c.ratio, c.blocks) for t in (kv, score))
    return _weighted(g, kv, score)


def _overlapping(g: Build, c: Compressor, kv: Node, score: Node) -> Node:
    """build_overlap_compressed_kv_from_state."""
    read = c.ratio * c.blocks
    joined = []
    for t in (kv, score):
        empty = g.reshape(g.scale(g.view(t, (t.ne[0],))), t.ne[0], 1)
        rows = g.get_rows(g.concat(t, empty, 1), c.read)
        halves = [
            g.reshape(g.cont(g.view(rows, (c.head, read), rows.nb[:2], offset)), c.head, c.ratio, c.blocks)
            for offset in (0, read * rows.nb[1] + c.head * 4)
        ]
        joined.append(g.concat(halves[0], halves[1], 1))
    return _weighted(g, joined[0], joined[1])


def _weighted(g: Build, kv: Node, score: Node) -> Node:
    values, scores = (g.cont(g.permute(t, 1, 0, 2, 3)) for t in (kv, score))
    return g.cont(g.permute(g.sum_rows(g.mul(values, g.soft_max(scores))), 1, 0, 2, 3))
