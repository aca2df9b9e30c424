"""Tensors of a block by what they do: the rows of the map."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvtui.hardware.device import CPU
from kvtui.model.spec import Tensor

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

KV, OUTPUT, ATTENTION, NORMS = "K/V", "output", "attention", "norms"
# what a tensor's name has in it, the first that matches; what matches none belongs to the block's mixing
_BY_NAME = (
    ("_shexp", "shared"),
    ("_gate_up_exps", "gate+up"),
    ("_gate_exps", "gate"),
    ("_up_exps", "up"),
    ("_down_exps", "down"),
    ("norm", NORMS),
    ("ffn_gate_inp", NORMS),
    ("exp_probs", NORMS),
    ("ffn_", "dense FFN"),
)
GROUPS = (ATTENTION, KV, "dense FFN", "shared", "gate+up", "gate", "up", "down", NORMS, OUTPUT)
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
NOTHING, SEVERAL, IN_RAM = " ", "*", "."


@dataclass(frozen=True)
class MapRow:
    """`cells`: a sign a block, the output last; `places`: the device of each, for its colour."""

    name: str
    cells: str
    places: tuple[int, ...]


def group_of(tensor: Tensor) -> str:
    """The row a tensor belongs to."""
    if tensor.kind == "output":
        return OUTPUT
    return next((group for part, group in _BY_NAME if part in tensor.name), ATTENTION)


def device_letter(index: int) -> str:
    """One character a device: 0-9, then a-z; RAM is a dot."""
    return IN_RAM if index == CPU else LETTERS[index % len(LETTERS)]


def map_rows(plan: "Plan", whole: bool) -> list[MapRow]:
    """`whole`: every group that the model has; else where blocks live, and where what may move is."""
    blocks = len(plan.assignment.layer_devices)
    found: dict[str, list[set[int]]] = {}
    for tensor in plan.request.model.tensors:
        if not tensor.loaded or (tensor.block is None and tensor.kind != "output"):
            continue
        at = blocks - 1 if tensor.block is None else tensor.block
        group = group_of(tensor)
        if at < blocks:
            found.setdefault(group, [set() for _ in range(blocks)])[at].add(plan.assignment.tensor_devices[tensor.index])
    homes = [{device} for device in plan.assignment.layer_devices]
    found[KV] = [
        home if layer.has_cache or layer.state else set() for home, layer in zip(homes, plan.request.model.layers, strict=False)
    ]
    found[KV] += [set()] * (blocks - len(found[KV]))
    if whole:
        return [_row(group, found[group]) for group in GROUPS if any(found.get(group, ()))]
    apart = ("gate+up", "gate", "up", "down") if plan.request.model.n_expert else ("dense FFN",)
    name = "experts" if plan.request.model.n_expert else "ffn"
    merged = [set().union(*(found[g][i] for g in apart if g in found)) for i in range(blocks)]
    return [_row("attn + kv", homes), *([_row(name, merged)] if any(merged) else [])]


def _row(name: str, places: list[set[int]]) -> MapRow:
    signs = [NOTHING if not p else device_letter(min(p)) if len(p) == 1 else SEVERAL for p in places]
    return MapRow(name, "".join(signs), tuple(max(p, default=CPU) for p in places))
