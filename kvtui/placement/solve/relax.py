"""A bound that counts hand-offs, and the price of a byte on each device: the Lagrangian dual of the placement problem.

With prices on the devices' bytes instead of capacities every block chooses for itself, and the homes follow by dynamic
programming; the sum is a lower bound for any prices, and prices that raise it show where memory is worth most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kvtui.base.sizes import GIB
from kvtui.hardware.device import CPU
from kvtui.placement.solve.menu import Floats, Menu
from kvtui.placement.solve.problem import HANDOFF_SECONDS

_STEPS = 60
_PATIENCE = 6  # steps without a better bound before the step is halved
_ENOUGH = 2e-4  # relative gap at which raising the bound stops


@dataclass(frozen=True, eq=False)
class Rooms:
    """Bytes each place can still hold, RAM last, and what a device holds more (compute buffers) once it runs blocks."""

    free: Floats
    home_extra: Floats


@dataclass(frozen=True, eq=False)
class Relaxed:
    """`bound`: seconds a token that no plan within `rooms` beats. `prices`: seconds a byte, RAM last. `homes` at them.
    `mean_homes`: the run of blocks each place had on average while prices went up and down, which is where a plan whose
    blocks may be cut has its boundaries."""

    bound: float
    prices: Floats
    homes: tuple[int, ...]
    mean_homes: tuple[int, ...] = ()


def relax(menu: Menu, rooms: Rooms, upper: float, prices: Sequence[float], steps: int = _STEPS) -> Relaxed:
    """Raises the bound from `prices` by subgradient steps (Polyak's), towards `upper`, the seconds of a known plan."""
    best = _bound(menu, rooms, np.array(prices))
    at, theta, since = best, 1.0, 0
    counts = np.zeros(menu.places)
    for _ in range(steps):
        if upper - best[0].bound <= _ENOUGH * upper:
            break
        slope = (at[1] - rooms.free) / GIB
        slope[(at[0].prices <= 0) & (slope < 0)] = 0.0
        length = float(slope @ slope)
        if length == 0.0:
            break
        step = theta * max(upper - at[0].bound, _ENOUGH * upper) / length
        at = _bound(menu, rooms, np.maximum(at[0].prices + step * slope / GIB, 0.0))
        for home in at[0].homes:
            counts[menu.column(home)] += 1
        if at[0].bound > best[0].bound:
            best, since = at, 0
        else:
            since += 1
            if since >= _PATIENCE:
                at, theta, since = best, theta / 2, 0
    return replace(best[0], mean_homes=_runs(menu, counts) if counts.any() else best[0].homes)


def bound_at(menu: Menu, rooms: Rooms, prices: Floats) -> float:
    """Seconds a token that no plan within `rooms` beats, by these prices as they are."""
    return _bound(menu, rooms, prices)[0].bound


def _runs(menu: Menu, counts: Floats) -> tuple[int, ...]:
    """Blocks in runs as long as the counts' shares: RAM first, then devices in order."""
    homes: list[int] = []
    total, blocks = 0.0, len(menu.kind_of)
    for p in (CPU, *menu.problem.order):
        total += float(counts[menu.column(p)])
        homes += [p] * (round(total / float(counts.sum()) * blocks) - len(homes))
    return tuple(homes)


def block_costs(menu: Menu, prices: Floats) -> Floats:
    """(kinds, places): the least a block of each kind costs with its home at each place, bytes paid for."""
    rows = [(k.cost + (k.held @ prices)[:, None]).min(axis=0) + k.home_bytes * prices for k in menu.kinds]
    return np.array(rows)


def _bound(menu: Menu, rooms: Rooms, prices: Floats) -> tuple[Relaxed, Floats]:
    """(the bound at `prices`, the bytes its choices take)."""
    costs = block_costs(menu, prices)
    value, homes = cheapest_homes(menu, costs, rooms.home_extra * prices)
    taken = np.zeros(menu.places)
    groups: dict[tuple[int, int], int] = {}
    for kind, home in zip(menu.kind_of, homes, strict=True):
        group = kind, menu.column(home)
        groups[group] = groups.get(group, 0) + 1
    for (number, p), count in groups.items():
        kind_ = menu.kinds[number]
        option = int((kind_.cost[:, p] + kind_.held @ prices).argmin())
        taken += count * kind_.held[option]
        taken[p] += count * kind_.home_bytes
    for p in {menu.column(home) for home in homes}:
        taken[p] += rooms.home_extra[p]
    bound = menu.constant + value - float(prices @ rooms.free)
    return Relaxed(bound, prices, homes), taken


def cheapest_homes(menu: Menu, costs: Floats, entry: Floats) -> tuple[float, tuple[int, ...]]:
    """Contiguous homes, RAM first, then devices in order: (seconds, a home a block). `entry`: paid once a place is home."""
    order = list(menu.order)
    table = costs[:, order].tolist()
    enter = entry[order].tolist()
    first = table[menu.kind_of[0]]
    best = [enter[j] + first[j] for j in range(len(order))]
    came: list[list[int]] = []
    for kind in menu.kind_of[1:]:
        row = table[kind]
        nxt, source = [], []
        least, least_at = float("inf"), 0
        for j, stay in enumerate(best):
            move = least + HANDOFF_SECONDS + enter[j]
            if move < stay:
                nxt.append(move + row[j])
                source.append(least_at)
            else:
                nxt.append(stay + row[j])
                source.append(j)
            if stay < least:
                least, least_at = stay, j
        best = nxt
        came.append(source)
    j = min(range(len(best)), key=best.__getitem__)
    value, path = best[j], [j]
    for source in reversed(came):
        j = source[j]
        path.append(j)
    return value, tuple(CPU if order[j] == menu.column(CPU) else order[j] for j in reversed(path))
