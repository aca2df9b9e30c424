"""The placement with every byte free to sit anywhere: its value, which no plan beats, and the price of a byte."""

from collections.abc import Sequence

from kvtui.hardware.device import CPU
from kvtui.placement.solve.problem import Problem

_TIE = 1e-3


def _densities(problem: Problem) -> list[tuple[float, int]]:
    """(bytes read a token for each byte held, bytes held) of all that chooses its place, the densest first."""
    items = [(r / b, b) for r, b in zip(problem.home_read, problem.home_bytes, strict=True) if b]
    items += [(m.read / m.n_bytes, m.n_bytes) for m in problem.movables if m.n_bytes]
    items.sort(reverse=True)
    return items


def prices(problem: Problem, rooms: Sequence[float]) -> list[float]:
    """Seconds that one more byte on each device saves (duals of the fractional problem); RAM's is 0."""
    speed = problem.seconds_per_byte
    items = _densities(problem)
    order = sorted((d for d in range(len(rooms)) if speed[d] < speed[CPU]), key=lambda d: speed[d])
    edges, filled, k = [], 0.0, 0
    ends = []
    total = 0.0
    for d in order:
        total += max(rooms[d], 0)
        ends.append(total)
    for density, size in items:
        filled += size
        while k < len(ends) and filled > ends[k]:
            edges.append(density)
            k += 1
    edges += [0.0] * (len(order) - len(edges))
    out = [0.0] * (len(rooms) + 1)
    price = 0.0
    # where all bytes are equally dense a block costs the same anywhere: a little less makes the device win the tie
    edges = [e * (1 - _TIE) for e in edges]
    for i in range(len(order) - 1, -1, -1):
        slower = speed[order[i + 1]] if i + 1 < len(order) else speed[CPU]
        price += edges[i] * (slower - speed[order[i]])
        out[order[i]] = price
    return out


def bound(problem: Problem, capacities: Sequence[float]) -> float:
    """Seconds a token that no placement beats, hand-offs not counted. `capacities`: bytes a device may hold, compute buffers
    taken off."""
    if not any(problem.home_bytes) and not problem.movables:
        return 0.0
    pinned = sum(r * s for r, s in zip(problem.pinned_read, problem.seconds_per_byte, strict=True))
    rooms = [max(c - p, 0.0) for c, p in zip(capacities, problem.pinned_bytes, strict=False)]
    return pinned + (_filled(problem, rooms) if problem.one_pace else max(_priced(problem, rooms), 0.0))


def _filled(problem: Problem, rooms: Sequence[float]) -> float:
    """Where a byte is read equally often at every place: the densest bytes on the fastest devices."""
    speed = problem.seconds_per_byte
    places = sorted((d for d in range(len(rooms)) if speed[d] < speed[CPU]), key=lambda d: speed[d])
    room = [*[(rooms[d], speed[d]) for d in places], (float("inf"), speed[CPU])]
    seconds, k, left = 0.0, 0, room[0][0]
    for density, size in _densities(problem):
        rest = float(size)
        while rest > 0:
            part = min(rest, left)
            seconds += density * part * room[k][1]
            rest -= part
            left -= part
            if left <= 0 and rest > 0:
                k += 1
                left = room[k][0]
    return seconds


def _priced(problem: Problem, rooms: Sequence[float]) -> float:
    """Where caches are converted on some places: each block and tensor chooses for itself under prices, the Lagrangian dual,
    which is a bound whatever the prices are."""
    price, speed = prices(problem, rooms), problem.seconds_per_byte
    open_to = [d for d, room in enumerate(rooms) if room > 0] + [len(rooms)]
    seconds = -sum(p * r for p, r in zip(price, rooms, strict=False))
    for size, by_place in zip(problem.home_bytes, problem.home_seconds, strict=True):
        seconds += min(by_place[d] + price[d] * size for d in open_to)
    for m in problem.movables:
        seconds += min(m.read * speed[d] + price[d] * m.n_bytes for d in open_to)
    return seconds
