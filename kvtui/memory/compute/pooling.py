"""What --embedding adds behind a graph: one row a slot made of all rows, and the heads that read it (src/llama-graph.cpp,
build_pooling, build_dense_out)."""

from kvtui.flags.context import POOLINGS
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import F32, I32, Node
from kvtui.model.spec import ModelSpec

_MEAN_HEADS = ("modern-bert",)  # its classifier reads the mean where the header does not say so (modern-bert.cpp)
_GELU_HEADS = ("modern-bert",)
_SOFT_MAX = ("qwen3", "qwen3vl")
ROWS = ("result_norm", "result_embd")  # t_embd


def pooling_of(model: ModelSpec, asked: str | None) -> str:
    """As asked, else the model's own (llama-context.cpp, llama_context)."""
    return asked or _kind(model, "pooling_type", "none")


def _kind(model: ModelSpec, key: str, default: str) -> str:
    number = model.header.metadata.get(f"{model.architecture}.{key}")
    return POOLINGS[number] if isinstance(number, int) and 0 <= number < len(POOLINGS) else default


def pool(g: Build) -> None:
    """Behind the graph of any family."""
    if not g.at.embeddings:
        return
    rows = next(n for n in reversed(g.nodes) if n.name in ROWS)
    kind = pooling_of(g.model, g.at.pooling)
    cur = rows if kind == "none" else _pooled(g, rows, kind)
    if kind == "rank":
        cur = _ranked(g, cur)
    if kind != "none":
        cur.name, cur.output = "result_embd_pooled", True
        g.expand(cur)
    _projected(g, cur)


def _pooled(g: Build, rows: Node, kind: str) -> Node:
    usual = "mean" if g.model.architecture in _MEAN_HEADS else "none"
    if kind == "mean" or (kind == "rank" and _kind(g.model, "classifier.pooling_type", usual) == "mean"):
        mean = g.input(F32, g.tokens, g.at.seqs, name="mean")
        return g.mul_mat(g.cont(g.transpose(rows)), mean)
    return g.get_rows(rows, g.input(I32, g.at.seqs, name="cls"))


def _ranked(g: Build, cur: Node) -> Node:
    """The classifier of a reranker."""
    head, out = g.weight("cls.weight"), g.weight("cls.output.weight")
    if head is not None:
        cur = _biased(g, g.mul_mat(head, cur), "cls.bias")
        cur = g.unary("gelu" if g.model.architecture in _GELU_HEADS else "tanh", cur)
        norm = g.weight("cls.norm.weight")
        cur = g.build_norm(cur, norm, -1, kind="layer") if norm is not None else cur
    if out is not None:
        cur = _biased(g, g.mul_mat(out, cur), "cls.output.bias")
    return g.soft_max(cur) if g.model.architecture in _SOFT_MAX else cur


def _biased(g: Build, cur: Node, name: str) -> Node:
    bias = g.weight(name)
    return cur if bias is None else g.add(cur, bias)


def _projected(g: Build, cur: Node) -> None:
    """Dense layers behind the pooling, where the file has them."""
    first, second = g.weight("dense_2.weight"), g.weight("dense_3.weight")
    if first is None and second is None:
        return
    if first is not None:
        cur = _biased(g, g.mul_mat(first, cur), "dense_2.bias")
    if second is not None:
        cur = g.mul_mat(second, cur)
    cur.name, cur.output = "result_embd_pooled", True
    g.expand(cur)
