"""What was started by a kvtui that has gone, or by a server of ours that has, and still holds memory."""

from dataclasses import dataclass
from pathlib import Path

from kvtui.server.process.record import is_alive, records
from kvtui.server.program.marks import ASKED_VARIABLE, LAUNCH_VARIABLE, Marked, asker_lives, marked

ASKED, FORKED = "asked by a kvtui that has gone", "left behind by a server that has ended"


@dataclass(frozen=True)
class Leftover:
    """A process that nobody looks after any more, and how it came to be."""

    process: Marked
    origin: str

    def __str__(self) -> str:
        return f"{self.process} still runs, {self.origin}"


def leftovers(state: Path | None = None) -> tuple[Leftover, ...]:
    """All of them, by their marks: of launches only those that this state folder knows."""
    found = [Leftover(m, ASKED) for m in marked(ASKED_VARIABLE) if not asker_lives(m.mark)]
    started = marked(LAUNCH_VARIABLE)
    over = {r.folder.name for r in records(state) if not is_alive(r)} if started else set()
    return tuple(found + [Leftover(m, FORKED) for m in started if m.mark in over])
