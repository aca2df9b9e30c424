"""What takes the keys while it is open: a value being typed, a question in the footer, a list to choose from."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kvtui.base.text import columns, cut, printable
from kvtui.tui.lines import Line, line, window

MOST_TYPED = 40  # characters of a filter
_AROUND, _LEAST_SHOWN = 8, 20  # columns of a prompt beside its name, text and keys; of its text in any case
BACKSPACE = ("backspace", "ctrl+h")
_KEEPING = ("left", "right", "home", "end")  # go on with what stands there
STEPS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -10_000, "end": 10_000}


class Asking:
    """A frozen value. `press` is given every key and answers what stands there after it: itself, another, or None
    where it closes."""

    def press(self, key: str, character: str | None) -> "Asking | None":
        """One key."""
        raise NotImplementedError

    def paste(self, text: str) -> "Asking":
        """What the terminal says was pasted."""
        return self

    def footer(self, width: int) -> tuple[Line, ...]:
        """The last lines of the screen while it is open."""
        raise NotImplementedError

    def page(self, width: int, height: int) -> tuple[str, list[Line]] | None:
        """(title, lines) where it needs the whole body."""
        return None


@dataclass(frozen=True)
class Prompt(Asking):
    """A line of text. `take` gets it at Enter, `heard` (if any) at every key, "" when it is left. `text` is what stands
    there at first: `selected`, the first letter replaces it. `hint`: what may be typed. `many_lines`: ends of lines are kept
    in what is pasted."""

    what: str
    take: Callable[[str], None]
    heard: Callable[[str], None] | None = None
    text: str = ""
    limit: int = 24
    hint: str = ""
    selected: bool = False
    many_lines: bool = False

    def press(self, key: str, character: str | None) -> Asking | None:
        """Types, takes, leaves."""
        if key == "escape":
            self._tell("")
            return None
        if key == "enter":
            self.take(self.text)
            return None
        text = self.text
        if key in BACKSPACE:
            text = "" if self.selected else text[:-1]
        elif character and character.isprintable():
            text = character if self.selected else text + character
        elif key not in _KEEPING:
            return self
        text = text[: self.limit]
        self._tell(text)
        return replace(self, text=text, selected=False)

    def paste(self, text: str) -> Asking:
        """As if it were typed, without its last line's end."""
        kept = "".join(c for c in text.strip() if c.isprintable() or (self.many_lines and c in "\r\n\t"))
        text = (kept if self.selected else self.text + kept)[: self.limit]
        self._tell(text)
        return replace(self, text=text, selected=False)

    def _tell(self, text: str) -> None:
        if self.heard is not None:
            self.heard(text)

    def footer(self, width: int) -> tuple[Line, ...]:
        """What is typed; what may be."""
        keys = "type over it; Enter takes, Esc leaves" if self.selected and self.text else "Enter takes it, Esc leaves it"
        said = " ".join(self.text.split()) if self.many_lines else self.text
        text, room = printable(said), max(width - columns(self.what) - columns(keys) - _AROUND, _LEAST_SHOWN)
        text = text if columns(text) <= room else f"...{text[3 - room :]}"
        shown = (f"[{text}]", "cursor") if self.selected else (f"{text}_", "strong")
        hint = (line((f" {self.hint}", "text")),) if self.hint else ()
        return (line((f" {self.what}: ", "strong"), shown, (f"  {keys}", "dim")), *hint)


@dataclass(frozen=True)
class Question(Asking):
    """A sentence and the keys that answer it; Esc (and any other key) is no."""

    text: str
    answers: Mapping[str, tuple[str, Callable[[], object]]]  # key -> (what it does, doing it)

    def press(self, key: str, character: str | None) -> Asking | None:
        """Answers."""
        answer = self.answers.get(key)
        if answer is not None:
            answer[1]()
        return None

    def footer(self, width: int) -> tuple[Line, ...]:
        """The keys."""
        if not self._in_one_line(width):
            return (line((f" {self._keys()}", "warning")),)
        return (line((f" {self.text}: ", "warning"), self._keys()),)

    def page(self, width: int, height: int) -> tuple[str, list[Line]] | None:
        """The sentence, where the footer has no room for it."""
        if self._in_one_line(width):
            return None
        parts = textwrap.wrap(printable(self.text), max(width - 4, 20))
        return "before it goes on", [line((f"  {part}", "warning")) for part in parts]

    def _in_one_line(self, width: int) -> bool:
        return columns(printable(self.text)) + columns(self._keys()) + 3 < width

    def _keys(self) -> str:
        keys = (f"{key.capitalize() if len(key) > 1 else key} {what}" for key, (what, _) in self.answers.items())
        return f"{', '.join(keys)}, Esc no"


@dataclass(frozen=True)
class Countdown(Asking):
    """What is waited for, told anew as it goes; Esc calls it off, other keys change nothing."""

    text: str
    call_off: Callable[[], object]

    def press(self, key: str, character: str | None) -> Asking | None:
        """Waits on, or ends."""
        if key == "escape":
            self.call_off()
            return None
        return self

    def footer(self, width: int) -> tuple[Line, ...]:
        """All of it, and the key."""
        parts = textwrap.wrap(printable(f"{self.text}; Esc calls it off"), max(width - 2, 20))
        return tuple(line((f" {part}", "warning")) for part in parts)


@dataclass(frozen=True)
class Choice:
    """A row of a list; without `pick` it can be read and not chosen."""

    text: str
    pick: Callable[[], object] | None
    style: str = "text"


@dataclass(frozen=True)
class Menu(Asking):
    """A list over the panes; what is typed filters it."""

    title: str
    choices: tuple[Choice, ...]
    at: int = 0
    typed: str = ""

    def shown(self) -> list[Choice]:
        """Rows that hold every typed word."""
        words = self.typed.casefold().split()
        return [c for c in self.choices if all(w in c.text.casefold() for w in words)]

    def press(self, key: str, character: str | None) -> Asking | None:
        """Moves, filters, picks."""
        rows = self.shown()
        at, typed = self.at, self.typed
        if key == "escape":
            return None
        if key == "enter" and rows:
            pick = rows[min(at, len(rows) - 1)].pick
            if pick is None:
                return self
            pick()
            return None
        if key in BACKSPACE:
            typed = typed[:-1]
        elif key in STEPS:
            at += STEPS[key]
        elif character and character.isprintable() and len(typed) < MOST_TYPED:
            typed += character
        after = replace(self, typed=typed)
        return replace(after, at=max(0, min(at, len(after.shown()) - 1)))

    def footer(self, width: int) -> tuple[Line, ...]:
        """Its keys."""
        typed = f"filter: {self.typed}_  " if self.typed else ""
        enter = "Enter chooses, " if any(c.pick is not None for c in self.choices) else ""
        return (line((f" {typed}", "strong"), (f"{enter}up and down move, letters filter, Esc leaves", "dim")),)

    def page(self, width: int, height: int) -> tuple[str, list[Line]]:
        """The rows around the cursor."""
        rows = self.shown()
        lines = []
        chosen = rows[self.at].text if rows else ""
        detail = textwrap.wrap(printable(chosen), max(width - 4, 20))[:3] if columns(chosen) > width - 4 else []
        for i in window(len(rows), max(height - 2 - len(detail), 1), self.at):
            mark = " > " if i == self.at else "   "
            style = "cursor" if i == self.at else rows[i].style
            lines.append(line((mark + cut(printable(rows[i].text), max(width - 4, 4)), style)))
        lines += [line(""), *(line((f"  {part}", "dim")) for part in detail)]
        return self.title, lines if rows else [line(("   no match", "dim"))]
