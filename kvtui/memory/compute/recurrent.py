"""Recurrent state as src/llama-graph.cpp reads and writes it: build_rs, build_inp_mem_hybrid."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.memory.compute.attention import Caches, caches
from kvtui.memory.compute.build import Build
from kvtui.memory.compute.mla import k_cache
from kvtui.memory.compute.tape import F32, I32, Node


@dataclass(frozen=True)
class States:
    """llm_graph_input_rs: which state each slot continues. `rows`: states of a block."""

    copy: Node
    main: Node
    tail: Node
    rows: int


@dataclass(frozen=True)
class Hybrid:
    """Inputs of a model with both kinds of blocks."""

    states: States
    caches: Caches


def states(g: Build) -> States:
    """build_rs_inp."""
    seqs, slots = g.at.seqs, g.at.slots
    copy = g.input(I32, slots, name="rs_s_copy")
    return States(copy, g.view(copy, (seqs,)), g.view(copy, (slots - 1,), None, 4), slots * snapshots(g))


def snapshots(g: Build) -> int:
    """States kept a slot: the present one, and those that drafting may go back to (n_rs_seq)."""
    return g.at.snapshots


def hybrid_k(g: Build) -> Hybrid:
    """build_inp_mem_hybrid_k: the cache has no V."""
    first = states(g)
    return Hybrid(first, k_cache(g))


def hybrid(g: Build, iswa: bool = False) -> Hybrid:
    """build_inp_mem_hybrid, or with `iswa` build_inp_mem_hybrid_iswa, which turns nothing."""
    first = states(g)
    return Hybrid(first, caches(g, iswa, rotated=not iswa))


def state(g: Build, part: str, il: int, values: int, rows: int) -> Node:
    """A block's state: `part` r is the convolution's, s the scan's."""
    return g.cached(part, il, F32, values, rows)


def build_rs(g: Build, inp: States, s: Node, read: Callable[[Node, Node], Node] | None = None) -> Node:
    """build_rs: the slots' states, copied out of the cache, or read in place by `read`."""
    values, seqs = s.ne[0], g.at.seqs
    flat = g.reshape(s, values, s.ne[1])
    g.expand(g.scale_inplace(g.view(flat, (values,))))
    if not g.at.build.has("states_at_once"):
        return _apart(g, inp, s, flat, read or g.get_rows)
    ids = inp.tail if read is not None else inp.copy
    gathered = g.get_rows(flat, ids)
    out = read(flat, inp.main) if read is not None else g.view(gathered, (values, seqs))
    g.expand(out)
    others = g.at.slots - seqs
    extra = g.view(gathered, (values, others), gathered.nb[:2], (seqs if read is None else seqs - 1) * gathered.nb[1])
    g.expand(g.cpy(extra, g.view(s, (values, others), s.nb[:2])))
    return out


def _apart(g: Build, inp: States, s: Node, flat: Node, read: Callable[[Node, Node], Node]) -> Node:
    """build_rs of builds that gather the other slots' states by themselves."""
    out = read(flat, inp.main)
    g.expand(out)
    others = g.at.slots - g.at.seqs
    extra = g.get_rows(flat, g.view(inp.copy, (others,), None, g.at.seqs * 4))
    g.expand(g.cpy(extra, g.view(s, (s.ne[0], others), s.nb[:2])))
    return out
