"""What the command line hands to the app."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kvtui.hardware.device import Machine
from kvtui.placement.request import Request
from kvtui.server.process.preflight import Address
from kvtui.tasks.options import Options


@dataclass(frozen=True)
class Session:
    """`request` is None until a model is chosen; `path` is None for the bundled model, which cannot be launched.

    `opener` makes a request of a path or URL, with the options of the command line; it raises UsageError.
    """

    path: Path | None
    request: Request | None
    machine: Machine
    simulated: bool
    server: str | None = None
    lean: bool | None = None  # None: by itself over SSH
    theme: str | None = None
    demo: bool = False
    unicode: bool | None = None  # whether the terminal draws it; None: as its locale says
    address: Address = field(default_factory=Address)
    build: str | None = None  # asked for; None: the server's own
    opener: Callable[[str], Request] | None = None
    options: Options = field(default_factory=Options)  # of the command line, a config and a profile: what profiles keep
    given: frozenset[str] = frozenset()  # parts of a request that the command line decides: names of tasks.last_request.PARTS
