"""A graph frozen into flat tables, one entry a tensor: what the scheduler and the allocator run over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kvtui.cache.kernels import Attention, Batch
from kvtui.memory.compute.support import on_cuda
from kvtui.memory.compute.tape import CACHE, LAYER_WEIGHT, VIEWS, Node, Tape

# ggml-alloc.c, ggml_op_can_inplace
_ARITHMETIC = frozenset(("add", "add_id", "sub", "mul", "div", "sqr", "sqrt", "log", "scale", "clamp", "fill"))
_IN_PLACE = _ARITHMETIC | {"unary", "rope", "rms_norm", "soft_max"}
# ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur: their weights are too small to choose a back end by
_SMALL_WEIGHTS = frozenset(("rope", "flash_attn_ext"))
# ggml-cuda.cu, get_op_batch_size; every other operation counts its rows
_BATCH_DIM = {"mul_mat": 1, "mul_mat_id": 2, "rope": 2}
# ggml-cuda.cu, MATRIX_ROW_PADDING: rows of quantised tensors are padded to this many values in CUDA buffers
_ROW_PADDING = 512


@dataclass(frozen=True)
class Attended:
    """A flash attention operation. `block`: whose cache it reads, -1 where none is."""

    attention: Attention
    batch: Batch
    block: int


@dataclass(frozen=True)
class Graph:
    """Tables by tensor id; `order` and `leafs` hold ids. -1 stands for none."""

    nodes: Sequence[Node]  # operation, shape and type; of a block that repeats another (grow.py) the other's
    order: Sequence[int]
    leafs: Sequence[int]
    sources: Sequence[tuple[int, ...]]
    roots: Sequence[int]  # what a view looks into (view_src)
    by_weight: Sequence[int]  # the weight that an operation would follow to its back end: its first
    sizes: Sequence[int]  # ggml_nbytes
    padding: Mapping[int, int]  # bytes that a CUDA buffer adds to a quantised tensor's copy
    reusable: Sequence[tuple[int, ...]]  # slots of the sources whose memory the result may take over
    batch: Sequence[int]  # rows of an operation, by which it is offloaded; 0: never
    homes: Sequence[tuple[int, int, int]]  # tensors that are there before the graph, with what a Home says
    pinned: Sequence[tuple[int, int]]  # (norm, block): what graph_get_cb keeps on its block's device; and where attention ends
    attention: Mapping[int, Attended]  # flash attention's nodes
    left_to_cpu: frozenset[int]  # operations that no GPU runs
    outputs: frozenset[int]  # never freed (ggml_set_output)
    ops: Sequence[str]
    views: frozenset[int]  # ggml_is_view_op
    work: Sequence[int]  # `order` without views
    uses: Sequence[int]  # how often a tensor is a source (ggml_node_get_use_count)

    @cached_property
    def names(self) -> list[str]:
        """For people: the graph's own, the weight that an operation is on, or the operation."""
        return [_name(n) for n in self.nodes]

    @cached_property
    def kernels(self) -> dict[tuple[Attention, Batch], list[int]]:
        """Flash attention's nodes by what decides their kernel."""
        same: dict[tuple[int, int], list[int]] = {}
        for i, a in self.attention.items():
            same.setdefault((id(a.attention), id(a.batch)), []).append(i)
        found: dict[tuple[Attention, Batch], list[int]] = {}
        for ids in same.values():
            a = self.attention[ids[0]]
            found.setdefault((a.attention, a.batch), []).extend(ids)
        return found

    @cached_property
    def duplicated(self) -> dict[int, list[int]]:
        """Weights that every block has a copy of, and what they are used by; not those that a block has of its own."""
        found: dict[int, list[int]] = {
            i: [] for i, kind, _ in self.homes if kind == LAYER_WEIGHT and not self.nodes[i].name.startswith("blk.")
        }
        for i in self.order if found else ():
            for s in self.sources[i]:
                if s in found:
                    found[s].append(i)
        return found


def freeze(tape: Tape, alibi: bool = False) -> Graph:
    """The graph of what `tape` expanded. `alibi`: attention is biased by distance."""
    nodes = sorted((*tape.nodes, *tape.leafs), key=lambda n: n.id)
    sources = [tuple([s.id for s in n.src]) for n in nodes]
    return Graph(
        nodes=nodes,
        order=[n.id for n in tape.nodes],
        leafs=[n.id for n in tape.leafs],
        sources=sources,
        roots=[n.view.id if n.view is not None else -1 for n in nodes],
        by_weight=[_by_weight(n) for n in nodes],
        sizes=[n.n_bytes for n in nodes],
        padding={n.id: padding_bytes(n) for n in nodes if n.dtype.quantized and n.ne[0] % _ROW_PADDING},
        reusable=[_reusable(n) for n in nodes],
        batch=[_rows(n) for n in nodes],
        homes=[(n.id, *n.home) for n in nodes if n.home is not None],
        pinned=[(n.id, n.layer) for n in nodes if n.layer >= 0],
        attention={n.id: _attention(n, alibi) for n in nodes if n.op == "flash_attn_ext"},
        left_to_cpu=frozenset([n.id for n in tape.nodes if n.op not in VIEWS and not on_cuda(n)]),
        outputs=frozenset([n.id for n in nodes if n.output]),
        ops=[n.op for n in nodes],
        views=frozenset([n.id for n in nodes if n.op in VIEWS]),
        work=[n.id for n in tape.nodes if n.op not in VIEWS],
        uses=used(sources),
    )


def used(sources: Sequence[tuple[int, ...]]) -> list[int]:
    """How often each tensor is a source."""
    counts = [0] * len(sources)
    for own in sources:
        for s in own:
            counts[s] += 1
    return counts


def padding_bytes(n: Node) -> int:
    """What a CUDA buffer adds to a quantised tensor (ggml_backend_cuda_buffer_type_get_alloc_size)."""
    rest = n.ne[0] % _ROW_PADDING
    return n.dtype.row_bytes(_ROW_PADDING - rest) if n.dtype.quantized and rest else 0


def _by_weight(n: Node) -> int:
    if n.op in _SMALL_WEIGHTS:
        return -1
    for s in n.src:
        if s.home is not None and s.home.kind != CACHE:
            return s.id
    return -1


def _reusable(n: Node) -> tuple[int, ...]:
    """Sources of the same type, shape and strides."""
    if n.op not in _IN_PLACE or n.view is not None:
        return ()
    return tuple([i for i, s in enumerate(n.src) if s.dtype is n.dtype and s.ne == n.ne and s.nb == n.nb])


def _rows(n: Node) -> int:
    """ggml-cuda.cu, get_op_batch_size."""
    if n.op == "get_rows":
        return 0
    dim = _BATCH_DIM.get(n.op)
    return n.ne[dim] if dim is not None else n.ne[1] * n.ne[2] * n.ne[3]


def _name(n: Node) -> str:
    if n.name:
        return n.name
    weight = next((s.name for s in n.src if s.home is not None and s.name.endswith(".weight")), "")
    return f"{n.op} {weight.removesuffix('.weight')}" if weight else n.op


def _attention(n: Node, alibi: bool) -> Attended:
    q, k, v = n.src[:3]
    attention = Attention(
        head_k=k.ne[0],
        head_v=v.ne[0],
        n_head=q.ne[2],
        n_head_kv=k.ne[2],
        type_k=k.dtype.name,
        type_v=v.dtype.name,
        v_in_k=v.view is not None and v.view is k.view and v.offset == k.offset,
        alibi=alibi,
    )
    block = k.view.home.number if k.view is not None and k.view.home is not None else -1
    return Attended(attention, Batch(q.ne[1], k.ne[1], q.ne[3]), block)
