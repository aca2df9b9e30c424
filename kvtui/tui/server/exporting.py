"""A plan written to a file that other programs take, or to the clipboard."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.shell import shell_word
from kvtui.tasks.exporting import Format, exported, slug
from kvtui.tui.draw.server_pages import folded
from kvtui.tui.lines import Line, line
from kvtui.tui.session import NO_FILE, Session

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary


@dataclass(frozen=True)
class Export:
    """What was written; `path` is None for the clipboard."""

    form: Format
    text: str
    path: Path | None = None

    @property
    def said(self) -> str:
        """A title."""
        return "command, copied" if self.path is None else f"{self.form.title}: {self.path.name}"

    def page(self, width: int) -> tuple[Line, ...]:
        """Where it is, how it is used, and all of it."""
        lines: list[Line] = []
        if self.path is not None:
            how = self.form.how.format(path=shell_word(str(self.path)), name=shell_word(self.path.name))
            lines = [*folded(str(self.path), width, "strong"), *folded(how, width, "dim"), line("")]
        for text in self.text.splitlines():
            lines += folded(text, width)
        return tuple(lines)


def export(form: Format, plan: "Plan", session: Session, binary: "ServerBinary | None", folder: Path) -> Export:
    """Write the plan in this form into a new file of `folder`. OSError, or ValueError with a sentence where that form
    cannot hold this plan."""
    if binary is None:
        raise ValueError("an export needs a llama-server to know its flags: name one with --llama-server")
    model = (session.path or Path(NO_FILE[1])).absolute()
    text = exported(form, plan, session.remote or model, session.address, binary)
    if not form.ending:
        return Export(form, text)
    name = slug(plan.request.model.name or model.stem)
    return Export(form, text, _write(folder, f"llama-server-{name}", form.ending, text))


def _write(folder: Path, stem: str, ending: str, text: str) -> Path:
    """A file that was not there before: nothing is ever overwritten."""
    for number in range(1, 1000):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        try:
            with path.open("xb") as file:
                file.write(os.fsencode(text))  # a name that is no UTF-8 is written as it lies on the disk
        except FileExistsError:
            continue
        if ending == ".sh":
            path.chmod(0o755)
        return path
    raise OSError(f"{folder} has a thousand files of that name")
