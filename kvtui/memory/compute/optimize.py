"""What the CUDA back end changes in its part of a graph before memory is given out: what is computed in one kernel stays
alive together (ggml/src/ggml-cuda/ggml-cuda.cu, ggml_backend_cuda_graph_optimize)."""

from collections.abc import Sequence

from kvtui.memory.compute.graph import Graph

MOST_REDUCED = 15  # moe-weighted-reduction.cuh: experts summed by one kernel
_TOPK_EXPERTS = frozenset((288, 576))  # topk-moe.cu, ggml_cuda_should_use_topk_moe: beside powers of two up to 512
_TOPK_MAX = 512
_ROUTED, _SHARED = ["mul_mat_id", "mul_mat_id", "glu"], ["mul_mat", "mul_mat", "glu"]  # experts up to their product


class Fusions:
    """One split's operations. `order` may come out rearranged; `keep`: operation -> what is not freed before it is done."""

    def __init__(self, g: Graph, order: Sequence[int], sources: Sequence[tuple[int, ...]]) -> None:
        self.g, self.order, self.sources = g, list(order), sources
        self.keep: dict[int, list[int]] = {}
        op = g.ops
        ops = [op[i] for i in order]
        if "mul_mat_id" in ops:
            self._shared_experts(ops)
        elif "soft_max" not in ops and "unary" not in ops and "mul" not in ops:
            return
        i = 0
        while i < len(ops):
            what = ops[i]
            if what == "mul":
                i += self._weighted_sum(ops, i)
                what = ops[i] if i < len(ops) else ""
            if what == "unary" or what == "soft_max":
                i += self._top_k(ops, i)
            i += 1

    def _hold(self, tensor: int, until: int) -> None:
        held = self.keep.setdefault(until, [])
        if tensor not in held:
            held.append(tensor)

    def _weighted_sum(self, ops: list[str], i: int) -> int:
        """ggml_cuda_match_moe_weighted_reduction: experts x weights, a view an expert, and their sum. Steps to skip."""
        nodes, order = self.g.nodes, self.order
        first = nodes[order[i]]
        used = first.ne[1]
        if not 2 <= used <= MOST_REDUCED:
            return 0
        inputs = self._experts_and_weights(order[i])
        weighted, scaled = order[i], None
        if i + 1 < len(order) and ops[i + 1] == "mul" and self.sources[order[i + 1]][0] == order[i]:
            outer = self._experts_and_weights(order[i + 1])
            if outer and inputs:
                weighted, scaled, inputs = order[i + 1], inputs[1], (inputs[0], outer[1])
        if not inputs:
            return 0
        start = i + (2 if scaled is not None else 1)
        last = start + 2 * used - 2
        if last >= len(order):
            return 0
        views: list[int] = []
        summed = -1
        adds = 0
        for j in order[start : last + 1]:
            node = nodes[j]
            if node.op == "view" and self.g.sources[j][0] == weighted:
                views.append(j)
            elif node.op == "add" and adds + 1 < len(views):
                if self.sources[j] != ((summed if adds else views[0]), views[adds + 1]):
                    return 0
                summed = j
                adds += 1
            else:
                return 0
        if len(views) != used or adds != used - 1:
            return 0
        for tensor in (*inputs, *([scaled] if scaled is not None else [])):
            self._hold(tensor, summed)
        return last - i

    def _experts_and_weights(self, mul: int) -> tuple[int, int] | None:
        """A product of whole rows and one number a row, in either order."""
        nodes = self.g.nodes
        node = nodes[mul]
        a, b = (nodes[s] for s in self.g.sources[mul])
        row = (1, *node.ne[1:])
        for x, y, at in ((a, b, 0), (b, a, 1)):
            if x.ne == node.ne and y.ne == row and x.contiguous and y.contiguous:
                return self.sources[mul][at], self.sources[mul][1 - at]
        return None

    def _top_k(self, ops: list[str], i: int) -> int:
        """ggml_cuda_topk_moe_fusion: gating, the choice of experts and their weights. Steps to skip."""
        nodes, order = self.g.nodes, self.order
        gate = nodes[order[i]]
        at = i
        if gate.op == "unary":
            if gate.unary == "softplus" and ops[i + 1 : i + 2] == ["sqrt"]:
                at += 1
            elif gate.unary != "sigmoid":
                return 0
        elif len(gate.src) > 1:  # a mask or sinks
            return 0
        at += 1
        for pattern in (("reshape", "argsort", "view", "get_rows"), ("reshape", "add", "argsort", "view", "get_rows")):
            if tuple(ops[at : at + len(pattern)]) == pattern:
                break
        else:
            return 0
        at += len(pattern)
        experts = nodes[order[at - 3]].ne[0]
        if not (experts <= _TOPK_MAX and experts & (experts - 1) == 0) and experts not in _TOPK_EXPERTS:
            return 0
        if ops[at : at + 5] == ["reshape", "sum_rows", "clamp", "div", "reshape"]:
            at += 5
        if ops[at : at + 1] == ["scale"] and self.g.sources[order[at]][0] == order[at - 1]:
            at += 1
        if at >= len(order) or not self._closed(order[i:at], {order[at - 1], self._chosen(order[i:at])}):
            return 0
        for j in order[i:at]:
            self._hold(j, order[at])
            for s in self.sources[j]:
                self._hold(s, order[at])
        return at - i - 1

    def _chosen(self, ids: Sequence[int]) -> int:
        return next(i for i in ids if self.g.nodes[i].op == "view")

    def _closed(self, ids: Sequence[int], outputs: set[int]) -> bool:
        """ggml_can_fuse_subgraph: nothing but `outputs` is used outside."""
        inside = dict.fromkeys(ids, 0)
        for i in ids:
            for s in self.sources[i]:
                if s in inside:
                    inside[s] += 1
        return all(i in outputs or n == self.g.uses[i] for i, n in inside.items())

    def _shared_experts(self, ops: list[str]) -> None:
        """ggml_cuda_match_shared_expert: an equal shared expert moves to where the routed ones are."""
        order = self.order
        i = 0
        while i + 5 < len(order):
            if ops[i : i + 3] == _ROUTED:
                for j in range(i + 3, len(order) - 2):
                    op = ops[j]
                    if op == "mul_mat_id" and ops[j + 1] == "mul_mat_id":
                        break
                    if op == "mul_mat" and ops[j : j + 3] == _SHARED and self._equal_experts(i, j):
                        for table in (order, ops):
                            table[i + 3 : j + 3] = [*table[j : j + 3], *table[i + 3 : j]]
                        up = self.g.sources[order[i + 2]][1]
                        for s in self.sources[up][1:3]:
                            self._hold(s, order[i + 5])
                        i += 5
                        break
            i += 1

    def _equal_experts(self, i: int, j: int) -> bool:
        nodes, order = self.g.nodes, self.order
        own = self.g.sources
        routed, shared = own[order[i + 2]], own[order[j + 2]]
        pairs = ((routed, order[i : i + 2]), (shared, order[j : j + 2]))
        if any(len(x) != 2 or set(x) != set(ids) for x, ids in pairs):
            return False
        (_, up), (_, shared_up) = routed, shared
        weight, other = nodes[own[up][0]], nodes[own[shared_up][0]]
        # a copy of a weight that is staged has no buffer yet
        if any(nodes[own[x][0]].home is None or self.sources[x][0] != own[x][0] for x in (*routed, *shared)):
            return False
        rows, uses = own[up][1], self.g.uses
        return (
            weight.dtype.quantized
            and weight.dtype.name == other.dtype.name
            and weight.ne[:2] == other.ne[:2]
            and nodes[rows].op == "reshape"
            and own[rows][0] == own[shared_up][1]
            and all(uses[k] == 1 for _, ids in pairs for k in ids)
        )
