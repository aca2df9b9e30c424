"""Which back end runs each operation, and what is copied between them.

ggml/src/ggml-backend.cpp: ggml_backend_sched_split_graph, with one buffer type a back end (no back end here reads another's
buffers). Back ends by their position in the scheduler: the devices in llama.cpp's order, the CPU last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kvtui.memory.compute.alloc import Plan
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.optimize import Fusions
from kvtui.memory.compute.tape import CACHE

# of a plan: all but its sizes
DECIDED = ("steps", "waits", "early", "sources", "roots", "reusable", "buffer", "kept", "external")
OFFLOAD_ROWS = 32  # ggml-cuda.cu, op_offload_min_batch_size (GGML_OP_OFFLOAD_MIN_BATCH)


@dataclass(frozen=True)
class Backends:
    """What the scheduler asks of the back ends. `n` with the CPU. `offloads`: devices that take operations on weights in
    RAM; `fuses`: those that rearrange their part of a graph (ggml_backend_cuda_graph_optimize), where the
    build `keeps` alive what one kernel reads; `idle_inputs`: inputs that nothing reads are copied for pipelining as well;
    `refuses`: a back end each, operations that it does not support."""

    n: int
    copies: int
    offloads: frozenset[int]
    fuses: frozenset[int]
    refuses: tuple[frozenset[int], ...]
    keeps: bool = True
    idle_inputs: bool = True


@dataclass
class Split:
    """A run of operations on one back end, and the tensors copied there for it."""

    backend: int
    start: int
    end: int = -1
    inputs: list[int] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Schedule:
    """`backend` by tensor id, copies behind the graph's own ids; `copy_of`: what each copy copies."""

    plan: Plan
    n_splits: int
    backend: Sequence[int]
    copy_of: Sequence[int]


def assign(g: Graph, homes: Sequence[int], pins: Sequence[tuple[int, int]], ends: Backends) -> list[int]:
    """The back end of every tensor: passes 1 to 4. `homes`: -1 where a tensor is not placed before the graph."""
    cpu = ends.n - 1
    at = list(homes)
    for i, backend in pins:
        if i not in ends.refuses[backend]:
            at[i] = backend
    nodes, roots, by_weight, batch, refuses = g.nodes, g.roots, g.by_weight, g.batch, ends.refuses
    for i in g.leafs:
        if at[i] < 0 and nodes[i].input:
            at[i] = cpu
    first = min(ends.offloads, default=-1)
    for i in g.order:  # 1: by what is placed already
        if at[i] >= 0:
            continue
        root, w = roots[i], by_weight[i]
        if root >= 0 and homes[root] >= 0:
            at[i] = homes[root]
        elif w >= 0:
            home = homes[w]
            if home == cpu and first >= 0 and batch[i] >= OFFLOAD_ROWS and i not in refuses[first]:
                at[i] = first
            elif i not in refuses[home]:
                at[i] = home
    _expand(g, at, ends)
    sources = g.sources
    for i in g.work:  # 3: what no neighbour could take goes where most of its sources are
        if at[i] < 0:
            best = -1
            for b in range(ends.n):
                if i not in refuses[b]:
                    near = sum((at[s] if at[s] >= 0 or roots[s] < 0 else at[roots[s]]) == b for s in sources[i])
                    if near > best:
                        best, at[i] = near, b
    for i in g.order:  # 4: views are where their root is, and the rest where they are used
        if at[i] < 0 and roots[i] >= 0:
            at[i] = at[roots[i]]
        for s in sources[i]:
            if at[s] < 0:
                at[s] = at[roots[s]] if roots[s] >= 0 else at[i]
    return at


def _expand(g: Graph, at: list[int], ends: Backends) -> None:
    """2: neighbours take their neighbour's back end, devices before the CPU."""
    cpu, refuses = ends.n - 1, ends.refuses
    backward = g.work[::-1]
    for skip_cpu in (True, False):
        for way in (g.work, backward):
            current = -1
            refused: frozenset[int] = frozenset()
            for i in way:
                backend = at[i]
                if backend < 0:
                    if current >= 0 and i not in refused:
                        at[i] = current
                elif backend != current:
                    current = -1 if skip_cpu and backend == cpu else backend
                    refused = refuses[current]


def _merged(g: Graph, homes: Sequence[int]) -> list[tuple[int, ...]]:
    """Sources, where the copies of a weight that several blocks hold on one device are one tensor
    (src/llama-model-loader.cpp, create_tensor: TENSOR_DUPLICATED)."""
    sources = list(g.sources)
    same: dict[tuple[str, int], int] = {}
    for i, users in g.duplicated.items():
        first = same.setdefault((g.nodes[i].name, homes[i]), i)
        if first != i:
            for u in users:
                sources[u] = tuple([first if s == i else s for s in sources[u]])
    return sources


def schedule(
    g: Graph, homes: Sequence[int], pins: Sequence[tuple[int, int]], ends: Backends, extra: dict[tuple[int, int], int]
) -> Schedule:
    """Splits, copies, and the order in which the allocator sees it all. `extra`: (back end, tensor) -> bytes that its
    operation needs beside its output there."""
    at = assign(g, homes, pins, ends)
    count = len(g.nodes)
    sources = _merged(g, homes)
    copy_of: list[int] = []
    copies: dict[tuple[int, int], int] = {}  # (tensor, back end) -> its first copy
    weights = {i for i, kind, _ in g.homes if kind != CACHE}
    split = Split(at[g.work[0]], 0)
    splits, order = [split], g.order
    views = g.views
    for position, i in enumerate(order):  # 5: splits
        if i in views:
            continue
        backend, inputs = at[i], sources[i]
        away: list[int] = []
        for s in inputs:
            if at[s] != backend:
                away.append(s)
        # a weight from elsewhere starts a split: the memory of the one before is free again
        if backend != split.backend or (split.inputs and any(s in weights for s in away)):
            split.end = position
            split = Split(backend, position)
            splits.append(split)
        if away:
            for s in away:
                if (s, backend) not in copies:
                    copies[s, backend] = count + len(copy_of)
                    copy_of.extend([s] * ends.copies)
                    split.inputs.append(s)
            sources[i] = tuple([copies[s, backend] if s in away else s for s in inputs])
    split.end = len(order)
    return _plan(g, at, homes, sources, splits, copies, copy_of, ends, extra)


def _plan(
    g: Graph,
    at: list[int],
    homes: Sequence[int],
    sources: list[tuple[int, ...]],
    splits: Sequence[Split],
    copies: dict[tuple[int, int], int],
    copy_of: list[int],
    ends: Backends,
    extra: dict[tuple[int, int], int],
) -> Schedule:
    """The graph as the allocator sees it: copies are taken at the start of a split, or all of them before anything where
    several batches are under way."""
    count, nodes = len(g.nodes), g.nodes
    steps: list[int] = []
    waits: list[tuple[int, ...]] = []

    def wait(tensors: tuple[int, ...]) -> None:
        waits.append(tensors)
        steps.append(-len(waits))

    for split in splits:
        for s in split.inputs:
            wait((s,))
            steps.append(copies[s, split.backend])
        order: Sequence[int] = g.order[split.start : split.end]
        if ends.keeps and split.backend in ends.fuses:
            fused = Fusions(g, order, sources)
            for i in fused.order:
                steps.append(i)
                if i in fused.keep:
                    wait(tuple(fused.keep[i]))
        else:
            steps.extend(order)
    buffer = [*at, *([0] * len(copy_of))]
    for (_, backend), i in copies.items():
        for c in range(i, i + ends.copies):
            buffer[c] = backend
    own = [i for i in g.leafs if homes[i] < 0]
    early, kept = own, g.outputs
    if ends.copies > 1:
        inputs = [i for i in own if nodes[i].input and (ends.idle_inputs or g.uses[i])]
        behind = count + len(copy_of)
        for i in inputs:  # the leaf itself is the first of its copies
            copy_of.extend([i] * (ends.copies - 1))
            buffer.extend([at[i]] * (ends.copies - 1))
        held = [*inputs, *range(behind, count + len(copy_of)), *range(count, behind)]
        early, kept = [*held, *own], g.outputs.union(held)
    none = [()] * len(copy_of)
    plan = Plan(
        steps=steps,
        waits=waits,
        early=early,
        sources=[*sources, *none],
        roots=[*g.roots, *([-1] * len(copy_of))],
        reusable=[*g.reusable, *none],
        buffer=buffer,
        sizes=sizes_of(g, buffer, copy_of, ends.n - 1, extra),
        kept=kept,
        external=[*(h >= 0 for h in homes), *([False] * len(copy_of))],
    )
    return Schedule(plan, len(splits), buffer, copy_of)


def sizes_of(
    g: Graph, buffer: Sequence[int], copy_of: Sequence[int], cpu: int, extra: Mapping[tuple[int, int], int]
) -> list[int]:
    """Bytes of every tensor in its buffer, copies behind the graph's own."""
    count, padding, sizes = len(g.sizes), g.padding, list(g.sizes)
    for (backend, i), more in extra.items():
        if buffer[i] == backend:
            sizes[i] += more
    for j, i in enumerate(copy_of):
        sizes.append(g.sizes[i] + (padding.get(i, 0) if buffer[count + j] != cpu else 0))
    return sizes
