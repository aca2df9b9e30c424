"""Looks at a driver that one which hangs can't hold up: one thread at a time, and a time-out."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


class Watch(Generic[T]):
    """Asks `read`, which gets what was read before, in a thread of its own and raises
    nothing. A call into a driver can't be ended, so while
    one hangs no other begins."""

    def __init__(self, read: Callable[[T], T], nothing: T) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._last = nothing  # of the last look that ended
        self._failed: Exception | None = None  # of the last look that ended
        self._done: threading.Event | None = None  # of the look under way
        self._began = datetime.now()

    def look(self, timeout_seconds: float) -> tuple[T, datetime | None]:
        """What is read now, and None; or what was read last, and since when there is no answer. Raises what `read` raised."""
        with self._lock:
            if self._done is None:
                self._done, self._began = threading.Event(), datetime.now()
                # A daemon: it never keeps the program from ending.
                threading.Thread(target=self._run, args=(self._done,), name="driver", daemon=True).start()
            done, began = self._done, self._began
        answered = done.wait(timeout_seconds)
        if answered and self._failed is not None:
            raise self._failed
        return self._last, None if answered else began

    def _run(self, done: threading.Event) -> None:
        state, failed = self._last, None
        try:
            state = self._read(self._last)
        except Exception as e:  # whoever looks has a boundary, this thread has none
            failed = e
        with self._lock:
            self._last, self._failed, self._done = state, failed, None
        done.set()
