"""The palette: every command by what is typed of its name, in any distance between the letters; Enter runs it here."""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace

from kvtui.base.text import columns, cut
from kvtui.tui.keys.asking import BACKSPACE, MOST_TYPED, STEPS, Asking
from kvtui.tui.keys.command import EVERYWHERE, PAGE, PANE_NAMES, Command, When, shown_key
from kvtui.tui.lines import Line, line, window

_NAME, _KEY = 22, 6  # columns
_NEEDS = {
    When.RUNS: "no server runs",
    When.RUNS_OTHER: "no server of this model runs with another plan",
    When.NO_ROOM: "no load ran out of memory",
    When.LEARNED: "nothing was measured that the plan does not count",
    When.KEEPS: "no plan is kept as A",
    When.HAS_OTHER: "no other request waits",
}


def why_not(command: Command, pane: str, holding: Set[When]) -> str:
    """Why a command is of no use while that pane is in front; "" where it is."""
    if command.pane not in (EVERYWHERE, pane):
        return f"{command.name} acts {PANE_NAMES[command.pane]}"
    return "" if command.when in holding else f"{command.name} is of no use now: {_NEEDS[command.when]}"


def found(commands: tuple[Command, ...], typed: str) -> list[Command]:
    """Those that match, the best first; all of them where nothing is typed. Pages' own keys are no commands here."""
    ranked = [(rank, i, c) for i, c in enumerate(_once(commands)) if (rank := _rank(typed, c)) is not None]
    return [c for _, _, c in sorted(ranked, key=lambda r: r[:2])]


def _once(commands: tuple[Command, ...]) -> list[Command]:
    """Without those of pages, and each name of a pane once: its first key is the one to learn."""
    return list({(c.pane, c.name): c for c in reversed(commands) if c.pane != PAGE}.values())[::-1]


def _rank(typed: str, command: Command) -> tuple[int, int] | None:
    """How far from what was meant; None: it does not match. From near to far: the key itself, the name's beginning, a
    word's beginning, within the name, its letters in order (the closer together the nearer), words of the help."""
    wanted, name = typed.casefold().strip(), command.name.casefold()
    if not wanted:
        return (0, 0)
    if typed.strip() == shown_key(command):
        return (0, 0)
    if name.startswith(wanted):
        return (1, len(name))
    if any(word.startswith(wanted) for word in name.split()):
        return (2, len(name))
    if wanted in name:
        return (3, len(name))
    if (span := _span(wanted.replace(" ", ""), name)) is not None:
        return (4, span)
    said = f"{name} {command.help.casefold()}"
    return (5, 0) if all(word in said for word in wanted.split()) else None


def _span(letters: str, name: str) -> int | None:
    """Columns from the first to the last of the letters where they come in this order, the shortest such way."""
    spans = []
    for start in (i for i, c in enumerate(name) if c == letters[:1]):
        at = start
        for letter in letters[1:]:
            at = name.find(letter, at + 1)
            if at < 0:
                break
        else:
            spans.append(at - start)
    return min(spans, default=None)


@dataclass(frozen=True)
class Palette(Asking):
    """`barred`: why a command is of no use here, or ""; `said`: why the last one was not run."""

    commands: tuple[Command, ...]
    barred: Callable[[Command], str]
    run: Callable[[Command], object]
    typed: str = ""
    at: int = 0
    said: str = ""

    def press(self, key: str, character: str | None) -> Asking | None:
        """Types, moves, runs, closes."""
        rows = found(self.commands, self.typed)
        at, typed = self.at, self.typed
        if key == "escape":
            return None
        if key == "enter" and rows:
            command = rows[at]
            if why := self.barred(command):
                return replace(self, said=why)
            self.run(command)
            return None
        if key in BACKSPACE:
            at, typed = 0, typed[:-1]
        elif key in STEPS:
            at += STEPS[key]
        elif character and character.isprintable() and len(typed) < MOST_TYPED:
            at, typed = 0, typed + character
        last = len(found(self.commands, typed)) - 1
        return replace(self, typed=typed, at=max(0, min(at, last)), said="")

    def footer(self, width: int) -> tuple[Line, ...]:
        """What is typed, and the keys; why nothing was run."""
        if self.said:
            return (line((f" {self.said}", "warning")),)
        return (line((f" : {self.typed}_", "strong"), ("  letters find, Enter runs it, up and down choose, Esc closes", "dim")),)

    def page(self, width: int, height: int) -> tuple[str, list[Line]]:
        """Key, name and what it does; dim where it is of no use."""
        rows = found(self.commands, self.typed)
        lines = []
        for i in window(len(rows), max(height - 1, 1), self.at):
            command, chosen = rows[i], i == self.at
            text = f"{' > ' if chosen else '   '}{shown_key(command):<{_KEY}} {command.name:<{_NAME}} "
            style = "cursor" if chosen else "dim" if self.barred(command) else "text"
            lines.append(line((text + cut(command.help, max(width - columns(text), 4)), style)))
        return "commands", lines or [line(("   no command is like that", "dim"))]
