"""Waiting for what the app does in its own time."""

from collections.abc import Callable


async def until(pilot: object, condition: Callable[[], bool]) -> None:
    """Let the app work until something holds; a test that waits in vain fails by its own assertion."""
    for _ in range(1200):
        if condition():
            return
        await pilot.pause(0.05)  # type: ignore[attr-defined]
    assert condition()
