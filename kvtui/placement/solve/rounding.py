"""Whole tensors within the rooms: options are chosen at the prices, made to fit, and improved by exchanges."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from kvtui.placement.solve.menu import Floats, Kind, Menu
from kvtui.placement.solve.relax import Rooms

_SIZES = 3  # and of those that use a place, one for each of so many sizes, the smallest first
_OPTIONS = 12  # of each group that are tried: those cheapest at the prices
_PAIRED = 260  # exchanges that are tried two at a time
_MOST_REPAIRS, _MOST_EXCHANGES = 400, 60
_WORTH = 1e-9  # seconds a token that an exchange must save

Chosen = dict[tuple[int, int], list[tuple[int, int]]]  # (kind, home) -> (option, how many blocks)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Every exchange of one block's option for another: columns of the state, and what it changes."""

    source: np.ndarray[tuple[int], np.dtype[np.intp]]
    target: np.ndarray[tuple[int], np.dtype[np.intp]]
    held: Floats  # (moves, places)
    cost: Floats
    priced: Floats  # cost with bytes paid for


def fill(menu: Menu, homes: Sequence[int], rooms: Rooms, prices: Floats) -> Chosen | None:
    """Options for all blocks with these homes, within `rooms`; None where none were found."""
    left = rooms.free.copy()
    groups: dict[tuple[int, int], int] = {}
    for number, home in zip(menu.kind_of, homes, strict=True):
        p = menu.column(home)
        groups[number, p] = groups.get((number, p), 0) + 1
        left[p] -= menu.kinds[number].home_bytes
    for p in {menu.column(home) for home in homes}:
        left[p] -= rooms.home_extra[p]
    names: list[tuple[int, int, int]] = []  # kind, home, option of each column
    held_rows, costs, counts = [], [], []
    spans = []
    for (number, p), count in groups.items():
        kind = menu.kinds[number]
        priced = kind.cost[:, p] + kind.held @ prices
        options = np.array(_options(kind, priced, prices))
        spans.append((len(names), len(options)))
        names += [(number, p, int(o)) for o in options]
        held_rows.append(kind.held[options])
        costs.append(kind.cost[options, p])
        counts += [count] + [0] * (len(options) - 1)
    state = np.array(counts)
    held, cost = np.concatenate(held_rows), np.concatenate(costs)
    left = left - state @ held
    moves = _moves(spans, held, cost, prices)
    if not _repair(state, left, moves) or not np.isfinite(cost[state > 0]).all():
        return None
    _exchange(state, left, moves)
    chosen: Chosen = {}
    for (number, p, option), count in zip(names, state.tolist(), strict=True):
        if count:
            chosen.setdefault((number, p), []).append((option, count))
    return {group: sorted(options) for group, options in chosen.items()}


def _options(kind: Kind, priced: Floats, prices: Floats) -> list[int]:
    """Those cheapest at the prices, all in all and of those that use a place; what costs no memory must stay possible."""
    ranked = np.argsort(priced, kind="stable")
    found = dict.fromkeys(ranked[:_OPTIONS].tolist())
    for p in range(prices.size):
        using = ranked[kind.held[ranked, p] > 0]
        if using.size:
            _, first = np.unique(kind.held[using, p], return_index=True)  # the cheapest of each size there
            found |= dict.fromkeys(using[first[:_SIZES]].tolist())
    found[int((kind.held @ prices).argmin())] = None
    return list(found)


def _moves(spans: Sequence[tuple[int, int]], held: Floats, cost: Floats, prices: Floats) -> _Moves:
    sources, targets = [], []
    for start, count in spans:
        a, b = np.divmod(np.arange(count * count), count)
        keep = a != b
        sources.append(a[keep] + start)
        targets.append(b[keep] + start)
    source, target = np.concatenate(sources), np.concatenate(targets)
    with np.errstate(invalid="ignore"):
        change = cost[target] - cost[source]
    bytes_ = held[target] - held[source]
    return _Moves(source, target, bytes_, change, change + bytes_ @ prices)


def _apply(state: np.ndarray[tuple[int], np.dtype[np.intp]], left: Floats, moves: _Moves, i: int, times: int = 1) -> None:
    state[moves.source[i]] -= times
    state[moves.target[i]] += times
    left -= moves.held[i] * times


def _repair(state: np.ndarray[tuple[int], np.dtype[np.intp]], left: Floats, moves: _Moves) -> bool:
    """Exchanges until nothing is over: each the cheapest for the bytes it relieves, made as often as that stays so."""
    for _ in range(_MOST_REPAIRS):
        over = np.maximum(-left, 0.0)
        if not over.any():
            return True
        relief = over.sum() - np.maximum(moves.held - left, 0.0).sum(axis=1)
        able = (state[moves.source] > 0) & (relief > 0)
        if not able.any():
            return False
        ratio = np.where(able, np.maximum(moves.priced, 0.0) / np.where(able, relief, 1.0), np.inf)
        best = int(ratio.argmin())
        _apply(state, left, moves, best, _times(moves.held[best], left, int(state[moves.source[best]])))
    return False


def _times(held: Floats, left: Floats, most: int) -> int:
    """How often an exchange relieves as much again: until a place is no longer over, or another one is full."""
    count = float(most)
    for change, room in zip(held.tolist(), left.tolist(), strict=True):
        if change < 0 and room < 0:
            count = min(count, ceil(room / change))
        elif change > 0:
            count = min(count, room // change)
    return max(int(count), 1)


def _exchange(state: np.ndarray[tuple[int], np.dtype[np.intp]], left: Floats, moves: _Moves) -> None:
    """One exchange, or two at once, as long as they save time and everything still fits."""
    for _ in range(_MOST_EXCHANGES):
        able = np.flatnonzero(state[moves.source] > 0)
        single = able[(moves.cost[able] < -_WORTH) & (moves.held[able] <= left).all(axis=1)]
        if single.size:
            _apply(state, left, moves, int(single[moves.cost[single].argmin()]))
            continue
        near = able[np.argsort(moves.priced[able], kind="stable")[:_PAIRED]]
        total = moves.cost[near][:, None] + moves.cost[near][None, :]
        good = total < -_WORTH
        for p in range(left.size):
            column = moves.held[near, p]
            good &= column[:, None] + column[None, :] <= left[p]
        alone = state[moves.source[near]] < 2  # one block cannot make two exchanges
        good &= ~((moves.source[near][:, None] == moves.source[near][None, :]) & alone[:, None])
        if not good.any():
            return
        a, b = divmod(int(np.where(good, total, np.inf).argmin()), near.size)
        _apply(state, left, moves, int(near[a]))
        _apply(state, left, moves, int(near[b]))
