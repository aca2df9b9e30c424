"""A buffer's peak by name: what is alive when it is largest."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.base.sizes import F16_BYTES
from kvtui.memory.compute.alloc import Peak
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.sched import Schedule
from kvtui.memory.compute.tape import CACHE

HOLES = "free between tensors"
STAGED = "staged: "  # a weight that is in RAM


@dataclass(frozen=True)
class Term:
    """`n_bytes` of `count` equal tensors together."""

    name: str
    n_bytes: int
    count: int = 1


def terms(g: Graph, planned: Schedule, peak: Peak) -> tuple[Term, ...]:
    """The largest first, holes last."""
    found: dict[str, list[int]] = {}

    def add(name: str, n_bytes: int) -> None:
        if n_bytes:
            found.setdefault(name, []).append(n_bytes)

    for i, n_bytes in peak.alive:
        if i >= len(g.nodes):
            add(_copied(g, planned.copy_of[i - len(g.nodes)]), n_bytes)
        elif i in g.attention and n_bytes > g.sizes[i]:
            _attention(g, i, n_bytes, add)
        else:
            add(g.names[i], n_bytes)
    named = [Term(name, sum(sizes), len(sizes)) for name, sizes in found.items()]
    named.sort(key=lambda t: -t.n_bytes)
    rest = peak.n_bytes - sum(t.n_bytes for t in named)
    return (*named, Term(HOLES, rest)) if rest > 0 else tuple(named)


def _copied(g: Graph, source: int) -> str:
    node = g.nodes[source]
    root = node.view if node.view is not None else node
    if root.home is None:
        return g.names[source]
    return f"copied: {root.name}" if root.home.kind == CACHE else STAGED + root.name.removesuffix(".weight")


def _attention(g: Graph, i: int, n_bytes: int, add: Callable[[str, int], None]) -> None:
    """The output, and what its kernel reads as f16: K before V (fattn-common.cuh)."""
    a, batch = g.attention[i].attention, g.attention[i].batch
    cells, own = a.n_head_kv * batch.n_cells * batch.n_streams, g.sizes[i]
    of_k = a.head_k * cells * F16_BYTES if a.type_k != "f16" else 0
    add(g.names[i], own)
    add("K as f16", of_k)
    add("V as f16", n_bytes - own - of_k)
