"""Waiting for memory that a server gives back: after its end the driver takes a moment, and lists it as a holder meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from kvtui.server.process.preflight import Preflight, Shortage
from kvtui.server.process.record import records
from kvtui.server.program.marks import process_identity

SETTLE_SECONDS, STEP_SECONDS = 8.0, 0.25


@dataclass(frozen=True)
class Wait:
    """What lacks and who holds it; seconds that are waited for it yet."""

    shortages: tuple[Shortage, ...]
    seconds: float

    def __str__(self) -> str:
        return f"waiting {self.seconds:.0f} s for memory: {'; '.join(map(str, self.shortages))}"


def settled(look: Callable[[], Preflight], since_end: float, heard: Callable[[Wait], object], cancel: Event) -> Preflight:
    """The last look: nothing lacks, or SETTLE_SECONDS are over, counted from the end of a server `since_end` seconds ago or,
    where a holder is no process any more, from now. `cancel` ends it at once."""
    began = time.monotonic()
    while True:
        found = look()
        leaving = any(process_identity(pid) is None for shortage in found.shortages for _, pid, _ in shortage.held)
        left = began + SETTLE_SECONDS - (0.0 if leaving else since_end) - time.monotonic()
        if not found.shortages or left <= 0 or cancel.is_set():
            return found
        heard(Wait(found.shortages, left))
        if cancel.wait(STEP_SECONDS):
            return found


def since_last_end() -> float:
    """Seconds since the end of the last server that is on record; infinite where there is none."""
    ends = [record.ended.at for record in records() if record.ended is not None]
    return max(time.time() - max(ends), 0.0) if ends else float("inf")
