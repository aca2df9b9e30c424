"""What the command line hands to the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvtui.hardware.device import Machine
from kvtui.header.address import ModelAddress
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.tasks.options import Options
from kvtui.tui.keys.command import Command
from kvtui.tui.keys.commands import COMMANDS

NO_FILE = ("-m", "MODEL.gguf")  # llama-server's options for a model that is only a header


@dataclass(frozen=True)
class Session:
    """`request` is None until a model is chosen; `path` is None for what has no file here and so cannot be launched: the
    bundled model, and a `remote` one.

    `opener` makes a request of a path or URL, with the options of the command line; it raises UsageError.
    """

    path: Path | None
    request: Request | None
    machine: Machine
    simulated: bool
    remote: ModelAddress | None = None
    asked: str = ""  # what the list of models opens with, typed
    server: str | None = None
    lean: bool | None = None  # None: by itself over SSH
    theme: str | None = None
    demo: bool = False
    unicode: bool | None = None  # whether the terminal draws it; None: as its locale says
    address: Address = field(default_factory=Address)
    commands: tuple[Command, ...] = COMMANDS  # with the keys of the person's config
    build: str | None = None  # asked for; None: the server's own
    opener: Callable[[str], Request] | None = None
    options: Options = field(default_factory=Options)  # of the command line, a config and a profile: what profiles keep
    given: frozenset[str] = frozenset()  # parts of a request that the command line decides: names of tasks.last_request.PARTS

    def is_lean(self, env: Mapping[str, str]) -> bool:
        """Few bytes, as asked, else where sshd says that there is a line to another machine (sshd(8), ENVIRONMENT)."""
        return bool(env.get("SSH_CONNECTION")) if self.lean is None else self.lean

    @property
    def model(self) -> str | None:
        """The model as one would name it; None for the bundled one."""
        named = self.path or self.remote
        return None if named is None else str(named)

    @property
    def model_flags(self) -> tuple[str, ...]:
        """llama-server's options for it."""
        if self.remote is not None:
            return self.remote.flags
        return NO_FILE if self.path is None else ("-m", str(self.path))

    @property
    def not_here(self) -> str:
        """Why it cannot be launched where `path` is None; one sentence."""
        if self.remote is None:
            return "the demo's model is only a header: open a real one to launch it"
        return f"{self.remote} is not on this machine: the plan's command downloads it and launches it"
