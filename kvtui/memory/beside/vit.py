"""The pieces of an image encoder's graph (tools/mtmd/clip.cpp, clip_graph): a vision transformer over patches.

A `Vit` is one graph under way, of the square image that llama-server warms up with: the largest that it reserves for."""

from dataclasses import dataclass

from kvtui.memory.compute.tape import F16, F32, WEIGHT, Dtype, Home, Node, Shape, Tape
from kvtui.model.projector import Projector

_FLOATS = {"f32": F32, "f16": F16}
_HALF_FLOATS = frozenset(("bf16",))


@dataclass(frozen=True)
class Sizes:
    """Of one image: `side` pixels, patches of `patch` pixels, `merge` patches a side make one token."""

    side: int
    patch: int
    merge: int

    @property
    def across(self) -> int:
        """Patches a side."""
        return self.side // self.patch


class Vit(Tape):
    """Methods stand for those of the same name in clip_graph."""

    def __init__(self, file: Projector, sizes: Sizes, flash: bool) -> None:
        super().__init__()
        self.file, self.sizes, self.flash = file, sizes, flash
        self.n_embd, self.n_layer = int(file.number("vision.embedding_length")), int(file.number("vision.block_count"))
        self.n_head = int(file.number("vision.attention.head_count"))
        self.n_head_kv = int(file.number("vision.attention.head_count_kv", self.n_head))
        self.d_head = int(file.number("vision.attention.head_dim")) or self.n_embd // self.n_head
        self.clamps = False  # what a product reads and gives is kept within limits of the weight's own
        self._made: dict[str, Node] = {}

    @property
    def patches(self) -> int:
        """n_patches."""
        return self.sizes.across**2

    # weights

    def w(self, name: str) -> Node | None:
        """A tensor of the file, or None."""
        t = self.file.tensors.get(name)
        if t is None:
            return None
        if name not in self._made:
            dtype = _FLOATS.get(t.type_name) or (
                Dtype(t.type_name, 1, 2) if t.type_name in _HALF_FLOATS else Dtype(t.type_name, 32, 32 * t.n_bytes / t.elements)
            )
            self._made[name] = self.new(dtype, *t.dims, name=name, home=Home(WEIGHT, len(self._made)))
        return self._made[name]

    def need(self, name: str) -> Node:
        """The same, of a tensor that must be there."""
        node = self.w(name)
        if node is None:
            raise KeyError(name)
        return node

    # operations that only encoders have

    def im2col(self, kernel: Node, a: Node, stride: int, dtype: Dtype) -> Node:
        """ggml_im2col without padding."""
        kw, kh, channels = kernel.ne[:3]
        wide, high = (a.ne[0] - kw) // stride + 1, (a.ne[1] - kh) // stride + 1
        return self._result("im2col", a, kernel, a, dtype=dtype, ne=(kw * kh * channels, wide, high, a.ne[3]))

    def conv_2d(self, kernel: Node, a: Node, stride: int) -> Node:
        """ggml_conv_2d: im2col and a product."""
        cols = self.im2col(kernel, a, stride, F32 if kernel.dtype.name == "bf16" else F16)
        kw, kh, channels, out = kernel.ne
        n = cols.ne
        cur = self.mul_mat(self.reshape(cols, n[0], n[1] * n[2] * n[3]), self.reshape(kernel, kw * kh * channels, out))
        return self.cont(self.permute(self.reshape(cur, n[1], n[2], n[3], out), 0, 1, 3, 2))

    def interpolate(self, a: Node, *ne: int) -> Node:
        """ggml_interpolate."""
        dims: Shape = (*ne, 1, 1, 1, 1)[:4]  # type: ignore[assignment]
        return self._result("upscale", a, a, dtype=F32, ne=dims)

    def pool_2d(self, a: Node, kernel: int) -> Node:
        """ggml_pool_2d whose stride is its kernel."""
        return self._result("pool_2d", a, a, dtype=F32, ne=(a.ne[0] // kernel, a.ne[1] // kernel, *a.ne[2:]))

    # pieces

    def raw(self) -> Node:
        """build_inp_raw."""
        return self.input(F32, self.sizes.side, self.sizes.side, 3, name="image")

    def inp(self) -> Node:
        """build_inp: patches as rows."""
        return self.rows_of(self.conv_2d(self.need("v.patch_embd.weight"), self.raw(), self.sizes.patch))

    def rows_of(self, cur: Node) -> Node:
        """A convolution's result as a row a patch, with the patches' bias."""
        cur = self.cont(self.transpose(self.reshape(cur, self.patches, self.n_embd)))
        bias = self.w("v.patch_embd.bias")
        return self.add(cur, bias) if bias is not None else cur

    def mm(self, name: str, cur: Node) -> Node:
        """build_mm with the tensor `name`.weight, and `name`.bias where the file has one."""
        weight = self.need(f"{name}.weight")
        cur = self.clamp(self.mul_mat(weight, self.clamp(cur))) if self.clamps else self.mul_mat(weight, cur)
        bias = self.w(f"{name}.bias")
        return self.add(cur, bias) if bias is not None else cur

    def normed(self, cur: Node, name: str, kind: str) -> Node:
        """build_norm with `name`; without it where the file has none."""
        cur = self.rms_norm(cur) if kind == "rms" else self.norm(cur)
        w, b = self.w(f"{name}.weight"), self.w(f"{name}.bias")
        cur = self.mul(cur, w) if w is not None else cur
        return self.add(cur, b) if b is not None else cur

    def ffn(self, cur: Node, up: str, down: str, gate: str = "") -> Node:
        """build_ffn."""
        inner = self.mm(up, cur)
        if gate and self.w(f"{gate}.weight") is not None:
            inner = self.glu(self.mm(gate, cur), inner)
        else:
            inner = self.unary("gelu", inner)
        return self.mm(down, inner)

    def position_rows(self) -> Node:
        """resize_position_embeddings: the file's own where they fit the image."""
        table = self.need("v.position_embd.weight")
        n, own = self.sizes.across, int(table.ne[1] ** 0.5)
        if own == n:
            return table
        cur = self.permute(self.reshape(table, self.n_embd, own, own), 2, 0, 1, 3)
        cur = self.interpolate(cur, n, n, self.n_embd)
        return self.cont(self.permute(cur, 1, 2, 0, 3), self.n_embd, n * n)

    def attend(self, q: Node, k: Node, v: Node, mask: Node | None = None) -> Node:
        """build_attn without its projection: K and V are cast for flash attention."""
        for part in (q, k, v):
            self.expand(part)
        q, k = self.permute(q, 0, 2, 1, 3), self.permute(k, 0, 2, 1, 3)
        if self.flash:
            v = self.permute(v, 0, 2, 1, 3)
            k, v = self.cast(k, F16), self.cast(v, F16)
            if mask is not None:
                mask = self.cast(mask, F16)
            ne = (v.ne[0], q.ne[2], q.ne[1], q.ne[3])
            src = (q, k, v) if mask is None else (q, k, v, mask)
            cur = self._result("flash_attn_ext", q, *src, dtype=F32, ne=ne)
            return self.reshape(cur, cur.ne[0] * cur.ne[1], cur.ne[2] * cur.ne[3])
        v = self.cont(self.permute(v, 1, 2, 0, 3))
        cur = self.permute(self.mul_mat(v, self.soft_max(self.mul_mat(k, q), mask)), 0, 2, 1, 3)
        return self.cont(cur, cur.ne[0] * cur.ne[1], cur.ne[2] * cur.ne[3])
