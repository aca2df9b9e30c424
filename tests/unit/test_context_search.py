"""The largest context by few looks: the same answer as looking everywhere."""

import pytest

from kvtui.flags.context import CELL_STEP as STEP
from kvtui.placement.context_search import last

ROOMS = (-1, 0, 255, 256, 5_000, 70_001, 131_071, 131_072, 10**9)


def linear(room: int, cells: int) -> int:
    return (room - cells) * 1000


def bent(room: int, cells: int) -> int:
    """Flat at first, then steep: as where a buffer overtakes another."""
    return room - cells if cells < 20_000 else (room - cells) * 50_000


def stepped(room: int, cells: int) -> int:
    """Says only whether it fits."""
    return 0 if cells <= room else -1


@pytest.mark.parametrize("shape", [linear, bent, stepped])
@pytest.mark.parametrize("most", [200, 256, 131_072, 131_000])
@pytest.mark.parametrize("room", ROOMS)
def test_it_is_the_largest_that_fits(shape: object, most: int, room: int) -> None:
    assert callable(shape)
    looks: list[int] = []

    def spare(cells: int) -> int:
        looks.append(cells)
        value: int = shape(room, cells)
        return value

    expected = most if room >= most else room // STEP * STEP or None
    if room < 0:
        expected = None
    assert last(spare, most) == expected
    assert len(looks) <= 40
    if expected is not None:
        for known in (expected, max(expected - 3 * STEP, 0), expected // 2):
            assert last(spare, most, known // STEP * STEP if known < most else known) == expected


def test_a_line_is_found_in_few_looks() -> None:
    looks: list[int] = []

    def spare(cells: int) -> int:
        looks.append(cells)
        return linear(70_001, cells)

    assert last(spare, 1 << 20) == 70_001 // STEP * STEP
    assert len(looks) <= 6
