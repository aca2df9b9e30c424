"""The pieces of a graph that llama.cpp's families share (src/llama-graph.cpp, llm_graph_context).

A `Build` is one graph under way. Methods stand for those of the same name there; families/ put them together."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Self

from kvtui.base.findings import UsageError
from kvtui.memory.compute.shapes import Shapes
from kvtui.memory.compute.tape import (
    CACHE,
    F16,
    F32,
    I32,
    I64,
    LAYER_WEIGHT,
    OUTPUT_WEIGHT,
    WEIGHT,
    Dtype,
    Home,
    Node,
    Tape,
    shape,
    strides,
)
from kvtui.model.spec import Layer, ModelSpec, Tensor

_FLOATS = {"f32": F32, "f16": F16}
# text or embeddings, never both in a batch (src/llama-arch.cpp, llm_arch_supports_mixed_batch)
NO_ROPE_STEP = 4  # llama-hparams.h, n_no_rope_layer_step: every fourth block is another
_UNMIXED = frozenset(("deepseek4", "cogvlm", "graniteswitch"))
_PLAIN = frozenset(("f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64"))


@lru_cache(maxsize=256)
def _weight_dtype(name: str, n_bytes: int, elements: int) -> Dtype:
    """A weight's type by its bytes: blocks of 32 values stand for whatever the type's own are."""
    if name in _FLOATS:
        return _FLOATS[name]
    if name in _PLAIN:
        return Dtype(name, 1, n_bytes // elements)
    return Dtype(name, 32, 32 * n_bytes / elements)


class Weights:
    """A model's tensors by name; shared by all graphs of it."""

    def __init__(self, model: ModelSpec) -> None:
        self.by_name: dict[str, Tensor] = {t.name: t for t in model.tensors if t.loaded}

    @staticmethod
    @lru_cache(maxsize=4)
    def of(model: ModelSpec) -> "Weights":
        return Weights(model)


class MissingTensorError(UsageError):
    """The file lacks a tensor that the architecture's graph is made of: llama-server refuses it too."""

    def __init__(self, said: str = "a tensor that this architecture needs is not in the file") -> None:
        super().__init__(said)


class NoGraphError(UsageError):
    """A number of the header is 0 where the architecture's graph divides by it: llama-server stops there too."""

    def __init__(self, architecture: str) -> None:
        super().__init__(f"a number of the header that a {architecture} graph divides by is 0")


def weight_node(t: Tensor, home: Home) -> Node:
    """A tensor of the file."""
    dims = shape(*t.dims)
    dtype = _weight_dtype(t.type_name, t.n_bytes, t.elements)
    node = Node("none", dtype, dims, strides(dtype, dims))
    node.name, node.home = t.name, home
    return node


class Marked(tuple[int, ...]):
    """Blocks, and as they are gone through, how many tensors there were before each (`marks`)."""

    marks: list[int]
    tape: Tape

    def __new__(cls, blocks: Iterable[int], tape: Tape) -> Self:
        """The blocks of a graph on `tape`."""
        self = super().__new__(cls, blocks)
        self.tape, self.marks = tape, []
        return self

    def __iter__(self) -> Iterator[int]:
        """Each block, once what came before it is marked."""
        for il in super().__iter__():
            self.marks.append(self.tape.count)
            yield il


class Build(Tape):
    """One graph of `model`: `blocks` are those that are built, in order."""

    SECTIONS = 4  # positions a token where rope is in sections (GGML_MROPE_SECTIONS)

    def __init__(self, model: ModelSpec, sizes: Shapes, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.at, self.blocks = model, sizes, Marked(blocks, self)
        self._weights = Weights.of(model).by_name
        self._made: dict[str, Node] = {}
        self.token_ids: Node | None = None  # of inp_embd

    # what the header says

    @property
    def tokens(self) -> int:
        """n_tokens."""
        return self.at.tokens

    @property
    def n_embd(self) -> int:
        """Values of a row."""
        return self.model.n_embd

    def layer(self, il: int) -> Layer:
        """The block's shapes."""
        return self.model.layers[il]

    @property
    def cached_layers(self) -> list[Layer]:
        """Blocks whose K/V the context keeps: the model's own, or in an MTP context those that draft."""
        if self.blocks and self.blocks[0] >= self.model.n_layer:
            return [x for x in self.model.layers if x.drafts]
        return [x for x in self.model.layers[: self.model.n_layer] if x.has_cache]

    def last(self, il: int) -> bool:
        """Whether `il` is the model's last block."""
        return il == self.model.n_layer - 1

    def number(self, key: str, default: float = 0) -> float:
        """A number of the header, by its key behind the architecture's name; the largest where it is a list."""
        value = self.model.header.metadata.get(f"{self.model.architecture}.{key}", default)
        if isinstance(value, (list, tuple)):
            return max((float(x) for x in value), default=default)
        return float(value) if isinstance(value, (int, float)) else default

    def number_of(self, key: str, il: int, default: float = 0) -> float:
        """A number of block `il`, where the header has a list of them."""
        value = self.model.header.metadata.get(f"{self.model.architecture}.{key}", default)
        return float(value[il]) if isinstance(value, (list, tuple)) and il < len(value) else self.number(key, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """A truth value of the header."""
        return bool(self.model.header.metadata.get(f"{self.model.architecture}.{key}", default))

    @property
    def deepstack(self) -> int:
        """First blocks that an image's embeddings are added to again, each a row of its own (n_deepstack_layers)."""
        return int(self.number("n_deepstack_layers"))

    def has(self, name: str) -> bool:
        """Whether the file has this tensor."""
        return name in self._weights

    # weights

    def w(self, role: str, il: int, suffix: str = "weight") -> Node | None:
        """blk.`il`.`role`.`suffix`, or None."""
        return self.weight(f"blk.{il}.{role}.{suffix}" if suffix else f"blk.{il}.{role}")

    def need(self, role: str, il: int, suffix: str = "weight") -> Node:
        """The same, of a tensor that must be there."""
        node = self.w(role, il, suffix)
        if node is None:
            raise MissingTensorError(f"tensor 'blk.{il}.{role}.{suffix}' not found")
        return node

    def weight(self, name: str) -> Node | None:
        """A tensor of the file, or None."""
        node = self._made.get(name)
        if node is None:
            t = self._weights.get(name)
            if t is None:
                return None
            node = self._made[name] = self._weight(t, Home(WEIGHT, t.index))
        return node

    def _weight(self, t: Tensor, home: Home) -> Node:
        return weight_node(t, home)

    def output_weight(self) -> Node:
        """output.weight, or the copy of the embeddings that stands for it."""
        node = self.weight("output.weight")
        if node is not None:
            return node
        t = self._weights["token_embd.weight"]
        return self._weight(t, Home(OUTPUT_WEIGHT, t.index))

    def rope_factors(self, il: int) -> Node | None:
        """Frequency factors: a copy on every block's device (src/llama-model.cpp, get_rope_factors)."""
        for name in ("rope_freqs.weight", "rope_factors_long.weight"):
            t = self._weights.get(name) or self._weights.get(f"blk.{il}.{name}")
            if t is not None:
                key = f"{name}@{il}"
                if key not in self._made:
                    self._made[key] = self._weight(t, Home(LAYER_WEIGHT, il))
                return self._made[key]
        return None

    # inputs

    def inp_embd(self, scaled: bool = False) -> Node:
        """build_inp_embd: text, embeddings, or both in one batch."""
        rows, n = self.tokens, int(self.n_embd)
        wide = n * (1 + self.deepstack)  # n_embd_inp
        embd = self.weight("token_embd.weight")
        if embd is None:
            raise MissingTensorError
        ids = self.input(I32, rows, name="inp_tokens")
        self.token_ids = ids
        raw = self.input(F32, wide, rows, name="inp_embd")

        def text(ids: Node) -> Node:
            cur = self.get_rows(embd, ids)
            return self.pad(cur, wide - n) if wide > n else cur

        cur = text(ids)
        self.expand(cur)
        self.expand(raw)
        if self.model.architecture in _UNMIXED or not self.at.build.has("mixed_input"):
            return self.scaled_embd(cur, scaled)
        mixed_ids = self.input(I32, rows, name="inp_mixed_tokens")
        slots = self.input(I64, rows, name="inp_mixed_slots")
        mixed = self.input(F32, wide, rows, name="inp_mixed_embd")
        self.expand(self.set_rows(self.dup(mixed), text(mixed_ids), slots))
        if wide > n:
            cur = self.view(cur, (n, rows), cur.nb[:2])
        return self.scaled_embd(cur, scaled)

    def scaled_embd(self, cur: Node, by_row: bool) -> Node:
        """The rest of build_inp_embd: rows of text times a number of their own."""
        if by_row:
            cur = self.mul(cur, self.input(F32, 1, self.tokens, name="inp_scale_rows"))
        cur.name = "embd"
        self.expand(cur)
        return cur

    def inp_pos(self, each: int = 1) -> Node:
        """Positions; `each`: numbers a token."""
        return self.input(I32, self.tokens * each, name="inp_pos")

    def inp_attn_scale(self) -> Node:
        """build_inp_attn_scale."""
        return self.input(F32, 1, 1, self.tokens, name="inp_attn_scale")

    def inp_out_ids(self) -> Node:
        """build_inp_out_ids."""
        return self.input(I32, self.at.outputs, name="out_ids")

    # pieces

    def mm(self, w: Node | None, cur: Node, scale: Node | None = None) -> Node:
        """build_lora_mm."""
        if w is None:
            raise MissingTensorError
        cur = self.mul_mat(w, cur)
        return self.mul(cur, scale) if scale is not None else cur

    def proj(self, role: str, il: int, cur: Node) -> Node:
        """build_lora_mm of blk.`il`.`role`, with its scale where the file has one."""
        return self.mm(self.need(role, il), cur, self.w(role, il, "scale"))

    def build_norm(self, cur: Node, w: Node | None, il: int, b: Node | None = None, kind: str = "rms") -> Node:
        """build_norm; the bare norm stays on its block's device (llama-context.cpp, graph_get_cb)."""
        cur = self.rms_norm(cur) if kind == "rms" else self.norm(cur)
        if w is not None or b is not None:
            cur.layer, cur.name = il, "norm"
        if w is not None:
            cur = self.mul(cur, w)
        return self.add(cur, b) if b is not None else cur

    def normed(self, cur: Node, role: str, il: int, kind: str = "rms") -> Node:
        """build_norm with blk.`il`.`role`."""
        return self.build_norm(cur, self.w(role, il), il, self.w(role, il, "bias"), kind)

    def outputs_only(self, il: int, out_ids: Node, *rows: Node) -> tuple[Node, ...]:
        """After the last block's attention only the rows that are asked for go on."""
        return tuple([self.get_rows(x, out_ids) for x in rows]) if self.last(il) else rows

    @property
    def keeps_rows(self) -> bool:
        """Whether all rows go through the last block of a model that can have an MTP head (llama-graph.h, crop_before_nextn)."""
        return self.model.mtp or not self.at.build.has("early_rows")

    def outputs_unless_kept(self, il: int, out_ids: Node, *rows: Node) -> tuple[Node, ...]:
        """`outputs_only` of such a model."""
        return rows if self.keeps_rows else self.outputs_only(il, out_ids, *rows)

    def finish(self, cur: Node, kind: str = "rms", scaled: int = 0, capped: bool = False, out_ids: Node | None = None) -> None:
        """The output's norm and head; `scaled`: how many times the logits are scaled, `capped`: with a tanh between;
        `out_ids`: rows that are asked for, where all may be normed."""
        name = "token_embd_norm" if self.model.family.norm_named_embd else "output_norm"
        cur = self.build_norm(cur, self.weight(f"{name}.weight"), -1, self.weight(f"{name}.bias"), kind)
        if out_ids is not None and self.keeps_rows:
            cur.output = True  # t_h_nextn (llm_graph_result::set_outputs)
            cur = self.get_rows(cur, out_ids)
        cur.name, cur.output = "result_norm", True
        self.head(cur, scaled, capped)

    def finish_late(self, cur: Node, out_ids: Node, capped: bool = False) -> None:
        """The same where all rows may be normed, for an MTP head, and only then those that are asked for go on."""
        cur = self.build_norm(cur, self.weight("output_norm.weight"), -1)
        cur.output = True  # t_h_nextn, t_embd (llm_graph_result::set_outputs)
        if self.keeps_rows:
            cur = self.get_rows(cur, out_ids)
            cur.output = True
        cur.name = "result_norm"
        self.head(cur, capped=capped)

    def head(self, cur: Node, scaled: int = 0, capped: bool = False) -> None:
        """The logits of rows that are normed already."""
        cur = self.mm(self.output_weight(), cur, self.weight("output.scale"))
        bias = self.weight("output.bias")
        if bias is not None:
            cur = self.add(cur, bias)
        for _ in range(scaled):
            cur = self.scale(cur)
        if capped:
            cur = self.scale(self.unary("tanh", self.scale(cur)))
        cur.name, cur.output = "result_output", True
        self.expand(cur)

    # caches

    def cached(self, part: str, il: int, dtype: Dtype, *ne: int) -> Node:
        """A cache's tensor: `part` is k, v, r, s."""
        key = f"cache_{part}_l{il}"
        if key not in self._made:
            self._made[key] = self.new(dtype, *ne, name=key, home=Home(CACHE, il))
        return self._made[key]
