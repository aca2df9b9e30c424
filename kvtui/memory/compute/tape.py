"""Graphs as ggml builds them: tensors with shapes and strides, in the order in which they are computed.

Each method stands for the function of the same name in ggml/src/ggml.c and gives its result the same shape, type, view
and sources; nothing is computed. What was expanded (ggml_build_forward_expand) is frozen into flat tables
that the scheduler and the allocator run over (graph.py)."""

from collections.abc import Sequence
from typing import NamedTuple

Shape = tuple[int, int, int, int]


class Dtype(NamedTuple):
    """A ggml type: `block_bytes` hold `block` values."""

    name: str
    block: int
    block_bytes: float

    @property
    def quantized(self) -> bool:
        """As ggml_is_quantized."""
        return self.block > 1

    def row_bytes(self, values: int) -> int:
        """Bytes of a row of `values` values (ggml_row_size)."""
        return int(self.block_bytes * values) // self.block


F32, F16, I32, I64 = Dtype("f32", 1, 4), Dtype("f16", 1, 2), Dtype("i32", 1, 4), Dtype("i64", 1, 8)

# what holds a tensor that is allocated before the graph; its number says which one
WEIGHT, LAYER_WEIGHT, OUTPUT_WEIGHT, CACHE = range(4)
ATTENDED = "attended"  # the end of attention without flash attention
VIEWS = frozenset(("view", "reshape", "permute", "transpose"))  # ggml_is_view_op
_TRANSPOSED = (1, 0, 2, 3)


class Home(NamedTuple):
    """Where a tensor of the model or of a cache is: `number` is a tensor's index, or a block's."""

    kind: int
    number: int


class Node:
    """A ggml_tensor. `ne`: values a dimension, `nb`: bytes between them. `view` is the root that it looks into."""

    __slots__ = (
        "dtype",
        "exact",
        "home",
        "id",
        "input",
        "layer",
        "name",
        "nb",
        "ne",
        "offset",
        "op",
        "output",
        "src",
        "unary",
        "view",
    )

    def __init__(self, op: str, dtype: Dtype, ne: Shape, nb: Shape, src: tuple["Node", ...] = (), view: "Node | None" = None):
        self.op, self.dtype, self.ne, self.nb, self.src, self.view = op, dtype, ne, nb, src, view
        self.name = self.unary = ""
        self.id = -1
        self.layer = -1
        self.offset = 0
        self.input = self.output = False
        self.exact = False  # its second source is read as f32 (ggml_prec_set_src)
        self.home: Home | None = None

    @property
    def contiguous(self) -> bool:
        """As ggml_is_contiguous."""
        return self.nb == strides(self.dtype, self.ne)

    @property
    def elements(self) -> int:
        """Number of values."""
        a, b, c, d = self.ne
        return a * b * c * d

    @property
    def n_bytes(self) -> int:
        """As ggml_nbytes."""
        ne, nb = self.ne, self.nb
        if not (ne[0] and ne[1] and ne[2] and ne[3]):
            return 0
        rest = (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3]
        if self.dtype.block == 1:
            return int(self.dtype.block_bytes) + (ne[0] - 1) * nb[0] + rest
        return self.dtype.row_bytes(ne[0]) + rest


def strides(dtype: Dtype, ne: Shape) -> Shape:
    """Bytes between values of a contiguous tensor."""
    row = dtype.row_bytes(ne[0])
    return (int(dtype.block_bytes), row, row * ne[1], row * ne[1] * ne[2])


def shape(*ne: int) -> Shape:
    """`ne` filled up with ones; a scalar has no dimension at all."""
    return (*ne, 1, 1, 1, 1)[:4]  # type: ignore[return-value]


class Tape:
    """Builds tensors, and the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leafs: list[Node] = []

    @property
    def count(self) -> int:
        """Tensors that are expanded."""
        return len(self.nodes) + len(self.leafs)

    # tensors that are there before the graph

    def new(self, dtype: Dtype, *ne: int, name: str = "", home: Home | None = None) -> Node:
        """A tensor without sources: an input, a weight, a cache (ggml_new_tensor)."""
        dims = shape(*ne)
        node = Node("none", dtype, dims, strides(dtype, dims))
        node.name, node.home = name, home
        return node

    def input(self, dtype: Dtype, *ne: int, name: str) -> Node:
        """A graph input (ggml_set_input)."""
        node = self.new(dtype, *ne, name=name)
        node.input = True
        return node

    # operations

    def _result(self, op: str, like: Node, *src: Node, dtype: Dtype | None = None, ne: Shape | None = None) -> Node:
        dtype, ne = dtype or like.dtype, ne or like.ne
        return Node(op, dtype, ne, strides(dtype, ne), src)

    def mul_mat(self, a: Node, b: Node) -> Node:
        return self._result("mul_mat", b, a, b, dtype=F32, ne=(a.ne[1], b.ne[1], b.ne[2], b.ne[3]))

    def mul_mat_id(self, experts: Node, b: Node, ids: Node) -> Node:
        return self._result("mul_mat_id", b, experts, b, ids, dtype=F32, ne=(experts.ne[1], ids.ne[0], b.ne[2], 1))

    def add(self, a: Node, b: Node) -> Node:
        return self._result("add", a, a, b)

    def sub(self, a: Node, b: Node) -> Node:
        return self._result("sub", a, a, b)

    def mul(self, a: Node, b: Node) -> Node:
        return self._result("mul", a, a, b)

    def div(self, a: Node, b: Node) -> Node:
        return self._result("div", a, a, b)

    def add_id(self, a: Node, b: Node, ids: Node) -> Node:
        return self._result("add_id", a, a, b, ids)

    def unary(self, kind: str, a: Node) -> Node:
        """silu, gelu, relu, sigmoid, tanh, softplus, exp, neg."""
        node = self._result("unary", a, a)
        node.unary = kind
        return node

    def scale(self, a: Node) -> Node:
        return self._result("scale", a, a)

    def scale_inplace(self, a: Node) -> Node:
        return Node("scale", a.dtype, a.ne, a.nb, (a,), a.view or a)

    def clamp(self, a: Node) -> Node:
        return self._result("clamp", a, a)

    def sqr(self, a: Node) -> Node:
        return self._result("sqr", a, a)

    def sqrt(self, a: Node) -> Node:
        return self._result("sqrt", a, a)

    def set(self, a: Node, part: Node) -> Node:
        """ggml_set: a copy of `a` with `part` in it."""
        return self._result("set", a, a, part)

    def fill(self, a: Node) -> Node:
        return self._result("fill", a, a)

    def glu(self, gate: Node, up: Node | None = None) -> Node:
        """swiglu, geglu, reglu: of two tensors, or of the halves of one."""
        if up is not None:
            return self._result("glu", gate, gate, up)
        half = (gate.ne[0] // 2, gate.ne[1], gate.ne[2], gate.ne[3])
        return self._result("glu", gate, gate, ne=half)

    def rms_norm(self, a: Node) -> Node:
        return self._result("rms_norm", a, a)

    def norm(self, a: Node) -> Node:
        return self._result("norm", a, a)

    def l2_norm(self, a: Node) -> Node:
        return self._result("l2_norm", a, a)

    def rope(self, a: Node, positions: Node, factors: Node | None = None) -> Node:
        return self._result("rope", a, a, positions, *([factors] if factors else []))

    def soft_max(self, a: Node, mask: Node | None = None, sinks: Node | None = None) -> Node:
        return self._result("soft_max", a, a, *(x for x in (mask, sinks) if x))

    def get_rows(self, a: Node, ids: Node) -> Node:
        dtype = I32 if a.dtype is I32 else F32
        return self._result("get_rows", a, a, ids, dtype=dtype, ne=(a.ne[0], ids.ne[0], ids.ne[1], ids.ne[2]))

    def set_rows(self, into: Node, rows: Node, ids: Node) -> Node:
        return Node("set_rows", into.dtype, into.ne, into.nb, (rows, ids, into), into.view or into)

    def cpy(self, a: Node, into: Node) -> Node:
        return Node("cpy", into.dtype, into.ne, into.nb, (a, into), into.view or into)

    def dup(self, a: Node) -> Node:
        return self._result("dup", a, a)

    def cast(self, a: Node, dtype: Dtype) -> Node:
        # ggml_cast is a copy whose second source is its own result: no dependency
        return self._result("cpy", a, a, dtype=dtype)

    def cont(self, a: Node, *ne: int) -> Node:
        """ggml_cont, or with a shape ggml_cont_2d and its like."""
        return self._result("cont", a, a, ne=shape(*ne) if ne else a.ne)

    def repeat(self, a: Node, *ne: int) -> Node:
        return self._result("repeat", a, a, ne=shape(*ne))

    def concat(self, a: Node, b: Node, dim: int) -> Node:
        ne = tuple(x + y if i == dim else x for i, (x, y) in enumerate(zip(a.ne, b.ne, strict=True)))
        return self._result("concat", a, a, b, ne=ne)  # type: ignore[arg-type]

    def pad(self, a: Node, values: int) -> Node:
        return self._result("pad", a, a, ne=(a.ne[0] + values, *a.ne[1:]))

    def sum_rows(self, a: Node) -> Node:
        return self._result("sum_rows", a, a, ne=(1, *a.ne[1:]))

    def argsort(self, a: Node) -> Node:
        return self._result("argsort", a, a, dtype=I32)

    def cumsum(self, a: Node) -> Node:
        return self._result("cumsum", a, a)

    def mean(self, a: Node) -> Node:
        return self._result("mean", a, a, ne=(1, *a.ne[1:]))

    def argsort_top_k(self, a: Node, k: int) -> Node:
        order = self.argsort(a)
        return self.view(order, (k, *order.ne[1:]), order.nb)

    def add_inplace(self, a: Node, b: Node) -> Node:
        return Node("add", a.dtype, a.ne, a.nb, (a, b), a.view or a)

    def pool_2d(self, a: Node, width: int) -> Node:
        """Along rows, `width` values at a time."""
        return self._result("pool_2d", a, a, dtype=F32, ne=(a.ne[0] // width, *a.ne[1:]))

    def arange(self, values: int) -> Node:
        """Numbers that are computed, from no source."""
        dims = shape(values)
        return Node("arange", F32, dims, strides(F32, dims))

    def top_k(self, a: Node, k: int) -> Node:
        return self._result("top_k", a, a, dtype=I32, ne=(k, *a.ne[1:]))

    def lightning_indexer(self, q: Node, k: Node, weights: Node, mask: Node) -> Node:
        return self._result("lightning_indexer", q, q, k, weights, mask, dtype=F32, ne=(k.ne[2], q.ne[2], 1, q.ne[3]))

    def flash_attn_ext(self, q: Node, k: Node, v: Node, mask: Node, sinks: Node | None = None) -> Node:
        ne = (v.ne[0], q.ne[2], q.ne[1], q.ne[3])
        return self._result("flash_attn_ext", q, q, k, v, mask, *([sinks] if sinks else []), dtype=F32, ne=ne)

    def hc_pre(self, x: Node, weights: Node) -> Node:
        """ggml_dsv4_hc_pre: the weighted sum of parallel streams."""
        return self._result("dsv4_hc_pre", x, x, weights, dtype=F32, ne=(x.ne[0], x.ne[2], 1, 1))

    def hc_comb(self, mixes: Node, scale: Node, base: Node, streams: int) -> Node:
        """ggml_dsv4_hc_comb: how streams are combined."""
        return self._result("dsv4_hc_comb", mixes, mixes, scale, base, dtype=F32, ne=(streams, streams, mixes.ne[1], 1))

    def hc_post(self, x: Node, residual: Node, post: Node, comb: Node | None = None) -> Node:
        """ggml_dsv4_hc_post: streams and their shares of `x`."""
        more = (comb,) if comb is not None else ()
        return self._result("dsv4_hc_post", x, x, residual, post, *more, dtype=F32, ne=(*residual.ne[:3], 1))

    def ssm_conv(self, x: Node, kernel: Node) -> Node:
        return self._result("ssm_conv", x, x, kernel, ne=(x.ne[1], x.ne[0] - kernel.ne[0] + 1, x.ne[2], 1))

    def ssm_scan(self, s: Node, x: Node, dt: Node, a: Node, b: Node, c: Node, ids: Node, snapshots: int = 1) -> Node:
        states = snapshots * s.ne[0] * s.ne[1] * s.ne[2] * ids.ne[0]
        return self._result("ssm_scan", x, s, x, dt, a, b, c, ids, dtype=F32, ne=shape(x.elements + states))

    def recurrence(self, op: str, k: Node, *src: Node) -> Node:
        """rwkv_wkv6, rwkv_wkv7, gated_linear_attn: rows and the new state behind them. `k` gives the shape; the state is
        the last of `src`."""
        values, heads, tokens = k.ne[:3]
        return self._result(op, k, *src, dtype=F32, ne=shape(values * heads, tokens + values * src[-1].ne[1]))

    def gated_delta_net(self, q: Node, k: Node, v: Node, g: Node, beta: Node, state: Node, snapshots: int = 1) -> Node:
        values, heads, tokens, seqs = v.ne
        rows = tokens * seqs + snapshots * values * seqs
        return self._result("gated_delta_net", q, q, k, v, g, beta, state, dtype=F32, ne=shape(values * heads, rows))

    # views

    def view(self, a: Node, ne: Sequence[int], nb: Sequence[int] | None = None, offset: int = 0) -> Node:
        """ggml_view_1d to _4d; `nb` starts with the bytes of a value and is filled up as ggml does."""
        dims = shape(*ne)
        full = list(nb or strides(a.dtype, dims))
        while len(full) < 4:
            full.append(full[-1] * dims[len(full) - 1])
        node = Node("view", a.dtype, dims, tuple(full), (a,), a.view or a)  # type: ignore[arg-type]
        node.offset = a.offset + offset
        return node

    def reshape(self, a: Node, *ne: int) -> Node:
        dims = shape(*ne)
        node = Node("reshape", a.dtype, dims, strides(a.dtype, dims), (a,), a.view or a)
        node.offset = a.offset
        return node

    def permute(self, a: Node, *axes: int) -> Node:
        ne, nb = [0] * 4, [0] * 4
        for i, axis in enumerate(axes):
            ne[axis], nb[axis] = a.ne[i], a.nb[i]
        node = Node("permute", a.dtype, tuple(ne), tuple(nb), (a,), a.view or a)  # type: ignore[arg-type]
        node.offset = a.offset
        return node

    def transpose(self, a: Node) -> Node:
        ne, nb = (tuple(x[i] for i in _TRANSPOSED) for x in (a.ne, a.nb))
        node = Node("transpose", a.dtype, ne, nb, (a,), a.view or a)  # type: ignore[arg-type]
        node.offset = a.offset
        return node

    # the order

    def expand(self, node: Node) -> None:
        """Put `node` after everything it needs (ggml_build_forward_expand: sources from left to right)."""
        if node.id != -1:
            return
        for src in node.src:
            if src.id == -1:
                self.expand(src)
        node.id = len(self.nodes) + len(self.leafs)
        (self.leafs if node.op == "none" else self.nodes).append(node)
