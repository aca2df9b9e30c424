"""A plan written to a file that other programs take, or to the clipboard."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.shell import shell_word
from kvtui.placement.plan import Plan
from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.exports import (
    environment_file,
    export_environment,
    llama_swap_entry,
    server_preset,
    shell_command,
    shell_script,
    systemd_unit,
)
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.process.start import server_command
from kvtui.tui.draw.server_pages import folded
from kvtui.tui.lines import Line, line
from kvtui.tui.session import Session

COMMAND, SCRIPT, UNIT, SWAP, PRESET, ENVIRONMENT = (
    "command",
    "shell script",
    "systemd user unit",
    "llama-swap entry",
    "llama-server preset",
    "environment file",
)
EXPORTS = {
    COMMAND: "to the terminal's clipboard (OSC 52), and shown to select",
    SCRIPT: "NAME.sh, runs anywhere with a POSIX shell",
    UNIT: "NAME.service, for ~/.config/systemd/user",
    SWAP: "NAME.yaml, for llama-swap's models",
    PRESET: "NAME.ini, for llama-server --models-preset",
    ENVIRONMENT: "NAME.env, variables that llama-server reads instead of flags",
}
_ENDING = {SCRIPT: ".sh", UNIT: ".service", SWAP: ".yaml", PRESET: ".ini", ENVIRONMENT: ".env"}
_HOW = {
    SCRIPT: "sh {path}",
    UNIT: "systemctl --user link {path} && systemctl --user start {name}",
    SWAP: "llama-swap --config {path}",
    PRESET: "llama-server --models-preset {path}",
    ENVIRONMENT: "set -a; . {path}; llama-server",
}
_BUNDLED = Path("MODEL.gguf")


@dataclass(frozen=True)
class Export:
    """What was written; `path` is None for the clipboard."""

    kind: str
    text: str
    path: Path | None = None

    @property
    def said(self) -> str:
        """A title."""
        return "command, copied" if self.path is None else f"{self.kind}: {self.path.name}"

    def page(self, width: int) -> tuple[Line, ...]:
        """Where it is, how it is used, and all of it."""
        lines: list[Line] = []
        if self.path is not None:
            how = _HOW[self.kind].format(path=shell_word(str(self.path)), name=shell_word(self.path.name))
            lines = [*folded(str(self.path), width, "strong"), *folded(how, width, "dim"), line("")]
        for text in self.text.splitlines():
            lines += folded(text, width)
        return tuple(lines)


def export(kind: str, plan: Plan, session: Session, binary: ServerBinary | None, folder: Path) -> Export:
    """Write the plan as `kind` into a new file of `folder`. OSError, or ValueError with a sentence where that form
    cannot hold this plan."""
    if binary is None:
        raise ValueError("an export needs a llama-server to know its flags: name one with --llama-server")
    model = (session.path or _BUNDLED).absolute()
    argv = (*plan.argv, *session.address.args)
    env = export_environment(binary, dict(plan.env))
    command, _ = server_command(binary, model, argv, session.address.port, session.address.host)
    name = _slug(plan.request.model.name or model.stem)
    adapted, _ = adapt_argv(argv, binary)
    if kind == COMMAND:
        return Export(kind, shell_command(command, env))
    if kind == SCRIPT:
        text = shell_script(command, env)
    elif kind == UNIT:
        text = systemd_unit(command, env, f"llama-server with {plan.request.model.name}")
    elif kind == SWAP:
        text = llama_swap_entry(name, command, env)
    elif kind == PRESET:
        text = server_preset(name, model, adapted, binary)
    else:
        text = environment_file(model, adapted, env, binary)
    return Export(kind, text, _write(folder, f"llama-server-{name}", _ENDING[kind], text))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "model"


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
