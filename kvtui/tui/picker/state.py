"""What the list of models shows: one frozen value, and its lines."""

from dataclasses import dataclass, replace
from pathlib import Path

from kvtui.base.sizes import gib
from kvtui.base.text import columns, cut, printable
from kvtui.header.hub_name import HUB_PREFIX
from kvtui.header.shelf import ShelfModel
from kvtui.tui.lines import Line, both_ends, line, window, wrapped
from kvtui.tui.picker.repository import RepositoryView, repository_lines

_MOST_TYPED = 400
STEPS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -10_000, "end": 10_000}


@dataclass(frozen=True)
class PickerState:
    """`kinds`: (path, architecture) of the models that were looked into; `at`: the chosen row of those shown."""

    models: tuple[ShelfModel, ...] = ()
    kinds: tuple[tuple[Path, str], ...] = ()
    typed: str = ""
    at: int = 0
    notice: str = ""
    searching: bool = True
    opening: bool = False
    repository: RepositoryView | None = None  # in front of the list while it is there
    running: tuple[str, ...] = ()  # servers, by model, plan and port
    behind: str = ""  # the model to which Esc goes back; "": it leaves

    def shown(self) -> list[ShelfModel]:
        """The models that match what was typed, words in any order."""
        if is_address(self.typed):
            return []
        kinds = dict(self.kinds)
        words = self.typed.lower().split()
        return [m for m in self.models if all(w in f"{m.name} {kinds.get(m.path, '')} {m.place}".lower() for w in words)]

    @property
    def chosen(self) -> str:
        """The path, URL or name of the Hub that Enter opens; "" where there is none."""
        if self.repository is not None:
            return self.repository.chosen
        rows = self.shown()
        text = str(rows[self.at].path) if rows else self.typed if is_address(self.typed) else ""
        return text if not text or "://" in text or text.startswith(HUB_PREFIX) else str(Path(text).expanduser())

    def moved(self, by: int) -> "PickerState":
        """Another row; also after every change of what is shown."""
        return replace(self, at=max(0, min(self.at + by, len(self.shown()) - 1)))

    def after(self, key: str, character: str | None) -> "PickerState":
        """A key that types or moves."""
        if self.repository is not None:
            return replace(self, repository=self.repository.moved(STEPS.get(key, 0)))
        if key in ("backspace", "ctrl+h"):
            return replace(self, typed=self.typed[:-1]).moved(0)
        if key in STEPS:
            return self.moved(STEPS[key])
        return self.with_text(character) if character and character.isprintable() else self

    def with_text(self, text: str) -> "PickerState":
        """What was typed or pasted, as far as there is room for it."""
        return replace(self, typed=f"{self.typed}{text}"[:_MOST_TYPED], notice="").moved(0)

    @property
    def lists(self) -> bool:
        """Whether Enter lists a repository rather than opening a model."""
        return self.repository is None and self.typed.startswith(HUB_PREFIX) and self.typed.count(":") == 1


def is_address(text: str) -> bool:
    """Whether typed text names a file or URL rather than filtering the list."""
    return text.startswith(("/", "~", ".", "http://", "https://", HUB_PREFIX)) or text.lower().endswith(".gguf")


def picker_lines(state: PickerState, width: int, height: int) -> list[Line]:
    """Title, what is typed, the models, and the keys."""
    if state.repository is not None:
        return repository_lines(state.repository, width, height)
    rows = state.shown()
    count = f"{len(rows)} of {len(state.models)} models{', searching' if state.searching else ''} "
    out = [both_ends(line((" kvtui  ", "accent"), ("choose a model", "strong")), line((count, "dim")), width)]
    out += [line((" running: ", "dim"), (text, "strong")) for text in state.running]
    prompt = "path" if is_address(state.typed) else "filter, or a path, URL or hf:ORG/REPO"
    prompt = "repository, Enter lists it" if state.lists else prompt
    out.append(line((f" {prompt}: ", "dim"), (f"{state.typed}_", "strong")))
    out.append(line((f"   {'model':<{max(width - 48, 12)}} {'architecture':<14}{'size':>12}  from", "dim")))
    said = said_lines(state, width)
    room = max(height - len(out) - 1 - len(said), 1)
    kinds = dict(state.kinds)
    for i in window(len(rows), room, state.at):
        out.append(_row(rows[i], kinds.get(rows[i].path, "..."), i == state.at, width))
    if not rows and not state.searching and not is_address(state.typed):
        out.append(line(("   no match" if state.models else "   none here: type the path of a GGUF file", "dim")))
    out += [line("")] * (height - 1 - len(said) - len(out))
    leaving = f"back to {state.behind}" if state.behind else "leaves"
    return [*out, *said, line((f" Enter opens  up and down choose  Esc clears, then {leaving}", "dim"))]


def said_lines(state: PickerState, width: int) -> list[Line]:
    """What is going on, all of it; else the path under the cursor."""
    if state.opening:
        return [line((" reading the header: Esc gives it up", "dim"))]
    if state.notice:
        return [line((f" {part}", "warning")) for part in wrapped(state.notice, width - 1)]
    rows = state.shown()
    return [line((f" {rows[state.at].path}" if rows else "", "dim"))]


def _row(model: ShelfModel, kind: str, selected: bool, width: int) -> Line:
    size = f"{model.missing} parts lack" if model.missing else gib(model.n_bytes, 1)
    text = f"{_cell(model.name, max(width - 48, 12))} {_cell(kind, 13)} {size:>12}  {_cell(model.place, 13)}"
    return line((f"{' > ' if selected else '   '}{text}", "cursor" if selected else "text"))


def _cell(text: str, width: int) -> str:
    shown = cut(printable(text), width)
    return shown + " " * (width - columns(shown))
