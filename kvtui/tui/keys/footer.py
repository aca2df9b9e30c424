"""The keys that the footer names: those of the pane in front first, then what acts everywhere, as many as fit."""

from collections.abc import Set

from kvtui.tui.keys.command import EVERYWHERE, PAGE, Command, When

LINES = 2
_GAP = "  "


def key_lines(commands: tuple[Command, ...], front: str, holding: Set[When], width: int) -> list[str]:
    """At most LINES lines of `width` columns. `front`: the pane, or PAGE; `holding`: what is so."""
    hints = _hints(commands, front, holding)
    while True:
        lines = _folded([c.footer for c in hints], width)
        if len(lines) <= LINES or len(hints) < 2:
            return lines[:LINES]
        least = max(c.rank for c in hints)
        hints.remove([c for c in hints if c.rank == least][-1])


def _hints(commands: tuple[Command, ...], front: str, holding: Set[When]) -> list[Command]:
    shown = [c for c in commands if c.footer and c.when in holding]
    own = [c for c in shown if c.pane == front or (front != PAGE and c.named_in == front)]
    if front == PAGE:
        return own
    return [*own, *(c for c in shown if c not in own and c.pane == EVERYWHERE and c.named_in == EVERYWHERE)]


def _folded(texts: list[str], width: int) -> list[str]:
    lines = [""]
    for text in texts:
        longer = f"{lines[-1]}{_GAP}{text}" if lines[-1] else text
        if len(longer) > width and lines[-1]:
            lines.append(text)
        else:
            lines[-1] = longer
    return lines
