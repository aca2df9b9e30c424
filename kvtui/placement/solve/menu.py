"""What each kind of block can do: every way to spread its movable tensors over devices and RAM, as arrays.

Blocks with the same sizes, caches and pins are of one kind, and equal tensors in a block are alike: a plan then says how
many blocks of a kind take which option, which removes the symmetries that keep a solver busy. Arrays have a column a
device in the machine's order and one more for RAM, the last; outside of arrays RAM is CPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray

from kvtui.hardware.device import CPU, column
from kvtui.placement.solve.problem import HANDOFF_SECONDS, Problem

Floats = NDArray[np.float64]
_MOST_OPTIONS = 6000  # a kind; beyond it tensors of one size in a block stay together


@dataclass(frozen=True, eq=False)
class Kind:
    """`members[i]`: of block `blocks[i]`, its movables by size. `spread[o][s]`: where the tensors of size s go, sorted.

    `held[o, p]`: bytes that option o puts at p. `cost[o, p]`: seconds a token of the whole block with its home at p,
    hand-offs to other places included; infinite where the block may not live. `whole`: no option was left out."""

    blocks: tuple[int, ...]
    home_bytes: int
    members: tuple[tuple[tuple[int, ...], ...], ...]
    spread: tuple[tuple[tuple[int, ...], ...], ...]
    held: Floats
    cost: Floats
    whole: bool


@dataclass(frozen=True, eq=False)
class Menu:
    """Kinds, `kind_of[block]`, and seconds a token that no choice changes."""

    problem: Problem
    kinds: tuple[Kind, ...]
    kind_of: tuple[int, ...]
    constant: float
    places: int  # devices and RAM

    def column(self, place: int) -> int:
        """The arrays' column of a device or CPU."""
        return column(place, self.places)

    @property
    def order(self) -> tuple[int, ...]:
        """Columns in the order of blocks: RAM first, then devices as they are opened (src/llama-model.cpp,
        get_layer_buft_list)."""
        return self.column(CPU), *self.problem.order

    @property
    def whole(self) -> bool:
        """Whether every way to spread the tensors is on the menu: a bound over it is a bound."""
        return all(k.whole for k in self.kinds)


def build_menu(problem: Problem) -> Menu:
    """The kinds of a problem's blocks."""
    movables: list[dict[tuple[int, float], list[int]]] = [{} for _ in problem.home_bytes]
    for i, m in enumerate(problem.movables):
        movables[m.block].setdefault((m.n_bytes, m.read), []).append(i)
    pinned: list[set[int]] = [set() for _ in problem.home_bytes]
    for tensor, device in problem.pinned:
        block = problem.model.tensors[tensor].block
        if block is not None:
            pinned[block].add(device)
    alike: dict[tuple[object, ...], list[int]] = {}
    for block, (size, read) in enumerate(zip(problem.home_bytes, problem.home_seconds, strict=True)):
        sizes = tuple((*s, len(found)) for s, found in sorted(movables[block].items()))
        alike.setdefault((size, read, sizes, frozenset(pinned[block]), problem.pinned_homes[block]), []).append(block)
    kinds, kind_of = [], [0] * len(problem.home_bytes)
    for number, blocks in enumerate(alike.values()):
        kinds.append(_kind(problem, blocks, [movables[b] for b in blocks], pinned[blocks[0]]))
        for b in blocks:
            kind_of[b] = number
    constant = sum(r * s for r, s in zip(problem.pinned_read, problem.seconds_per_byte, strict=True))
    return Menu(problem, tuple(kinds), tuple(kind_of), constant, len(problem.seconds_per_byte))


def usable(problem: Problem) -> tuple[bool, ...]:
    """Whether each place may hold anything that can choose, RAM last."""
    return (*(cap > 0 for cap in problem.request.capacities), not problem.request.no_ram)


def _kind(
    problem: Problem, blocks: Sequence[int], movables: Sequence[dict[tuple[int, float], list[int]]], pinned: set[int]
) -> Kind:
    places = len(problem.seconds_per_byte)
    allowed = usable(problem)
    open_places = [p for p in range(places) if allowed[p]]
    sizes = sorted(movables[0])
    copies = [len(movables[0][s]) for s in sizes]
    spread, whole = _spreads(open_places, copies)
    held = np.zeros((len(spread), places))
    read = np.zeros(len(spread))
    away = np.zeros((len(spread), places), dtype=bool)
    speed = np.array(problem.seconds_per_byte)
    for o, option in enumerate(spread):
        for (n_bytes, active), where in zip(sizes, option, strict=True):
            for p in where:
                held[o, p] += n_bytes
                read[o] += active * speed[p]
                away[o, p] = True
    for p in pinned:
        away[:, column(p, places)] = True
    others = away.sum(axis=1)[:, None] - away  # other places that hold weights of the block, for each home
    home_seconds = np.array(problem.home_seconds[blocks[0]])
    cost = read[:, None] + home_seconds[None, :] + 2 * HANDOFF_SECONDS * others
    lives = problem.pinned_homes[blocks[0]]
    closed = [p for p in range(places) if not allowed[p] or (lives is not None and p != column(lives, places))]
    closed += [] if problem.ram_is_home else [places - 1]
    cost[:, closed] = np.inf
    members = tuple(tuple(tuple(block[s]) for s in sizes) for block in movables)
    return Kind(tuple(blocks), problem.home_bytes[blocks[0]], members, spread, held, cost, whole)


def _spreads(places: Sequence[int], copies: Sequence[int]) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], bool]:
    """Every way to place `copies` tensors of each size; (ways, whether they are all)."""
    each = [list(combinations_with_replacement(places, n)) for n in copies]
    count = 1
    for ways in each:
        count *= len(ways)
    if count <= _MOST_OPTIONS:
        return tuple(product(*each)), True
    together = [[(p,) * n for p in places] for n in copies]
    pairs: Iterator[tuple[tuple[int, ...], ...]] = (
        way
        for i, a in enumerate(places)
        for b in places[i:]
        for way in product(*[[w for w in ways if w[0] in (a, b)] for ways in together])
    )
    return tuple(dict.fromkeys(pairs)), False


def block_places(menu: Menu, homes: Sequence[int], chosen: dict[tuple[int, int], list[tuple[int, int]]]) -> tuple[int, ...]:
    """A device a movable. `chosen[kind, home]`: (option, how many blocks), given to the blocks of that kind and home in order:
    neighbours get the same option, so that their names fold into short patterns."""
    places = [CPU] * len(menu.problem.movables)
    ram = menu.column(CPU)
    for (number, home), counts in chosen.items():
        kind = menu.kinds[number]
        here = [i for i, b in enumerate(kind.blocks) if menu.column(homes[b]) == home]
        options = [o for o, count in counts for _ in range(count)]
        for i, o in zip(here, options, strict=True):
            for tensors, where in zip(kind.members[i], kind.spread[o], strict=True):
                for t, p in zip(tensors, where, strict=True):
                    places[t] = CPU if p == ram else p
    return tuple(places)
