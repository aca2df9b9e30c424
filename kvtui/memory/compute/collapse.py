"""Blocks that repeat: equal neighbours in equal places take the same memory again, so a few of them stand for all.

A run of equal blocks, or of an equal pattern of blocks, leaves the allocator as it found it after its first turns: each
turn frees what it took, and what is copied for every block (masks, positions) is copied once a back end. So of a long run
only the first `KEPT` turns are built. Memory found for one sequence of kinds and places holds for every other assignment
with the same sequence: it is asked for once."""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

from kvtui.hardware.device import CPU
from kvtui.model.spec import Layer, ModelSpec

KEPT = 3  # turns of a run that are built
_LONGEST = 8  # blocks of a pattern


class Kind(NamedTuple):
    """A block's tensors (indices, in the order of their names) and what tells it from others: `shape` wherever they are,
    `stored` where they are in RAM, from where they are copied."""

    tensors: tuple[int, ...]
    shape: int
    stored: int


@lru_cache(maxsize=8)
def kinds(model: ModelSpec) -> tuple[Kind, ...]:
    """The kind of every block that runs."""
    by_block: list[list[int]] = [[] for _ in range(model.n_layer)]
    for t in model.tensors:
        if t.loaded and t.block is not None and t.block < model.n_layer:
            by_block[t.block].append(t.index)
    shapes: dict[Hashable, int] = {}
    stored: dict[Hashable, int] = {}
    found = []
    for il, indices in enumerate(by_block):
        roles = sorted((model.tensors[i].name.split(".", 2)[2], i) for i in indices)
        tensors = [model.tensors[i] for _, i in roles]
        # an equal shared expert is computed with the routed ones: types count there (ggml_cuda_match_shared_expert)
        shape = tuple((r, t.dims, t.type_name if "exp" in r else "") for (r, _), t in zip(roles, tensors, strict=True))
        key = (shape, _shape(model.layers[il]), il == model.n_layer - 1)
        found.append(
            Kind(
                tuple(i for _, i in roles),
                shapes.setdefault(key, len(shapes)),
                stored.setdefault(tuple((t.type_name, t.n_bytes) for t in tensors), len(stored)),
            )
        )
    return tuple(found)


def _shape(x: Layer) -> Hashable:
    return (
        x.n_head,
        x.n_head_kv,
        x.head_k,
        x.head_v,
        x.is_swa,
        x.is_recurrent,
        x.has_cache,
        x.is_sparse,
        x.compress_ratio,
        x.index_k,
    )


def sequence(model: ModelSpec, layer_devices: Sequence[int], tensor_devices: Sequence[int]) -> list[Hashable]:
    """What each block is and where it is; equal entries are interchangeable."""
    out: list[Hashable] = []
    for il, kind in enumerate(kinds(model)):
        home = layer_devices[il]
        places = tuple([tensor_devices[i] for i in kind.tensors])
        if places.count(home) == len(places):
            out.append((kind.shape, home, kind.stored if home == CPU else -1))
        else:
            out.append((kind.shape, home, places, kind.stored if CPU in places else -1))
    return out


class Run(NamedTuple):
    """Of a sequence: `turns` of a pattern of `period` entries, from `start` on."""

    start: int
    period: int
    turns: int


def runs(keys: Sequence[Hashable], kept: int = KEPT) -> list[Run]:
    """The whole sequence as runs, one behind the other: patterns that come more than `kept` times, the rest one by one."""
    found: list[Run] = []
    i, n = 0, len(keys)
    while i < n:
        best_turns, best = 1, 1
        for period in range(1, min(_LONGEST, n - i) + 1):
            turns = 1
            while keys[i + turns * period : i + (turns + 1) * period] == keys[i : i + period]:
                turns += 1
            if turns > kept and (turns - kept) * period > max(0, best_turns - kept) * best:
                best_turns, best = turns, period
        if best_turns <= kept:
            best_turns, best = 1, 1
        found.append(Run(i, best, best_turns))
        i += best_turns * best
    return found


def representatives(keys: Sequence[Hashable], kept: int = KEPT) -> tuple[int, ...]:
    """Blocks that stand for all: of every run of a repeated pattern its first turns, and what is left over at its end."""
    return tuple([i for run in runs(keys, kept) for i in range(run.start, run.start + min(run.turns, kept) * run.period)])
