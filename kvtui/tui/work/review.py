"""The background thread's work on a command that is looked over."""

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from kvtui.flags.command_line import read_pasted
from kvtui.placement.request import Request
from kvtui.tasks.options import Options
from kvtui.tasks.review import reviewed_for, the_running_server
from kvtui.tui.work.messages import ReviewReady


@dataclass(frozen=True)
class Screen:
    """What the command is looked over on: the request, its model's file (None: none here), and whether the machine is played."""

    request: Request
    path: Path | None
    simulated: bool


def review_page(text: str, pid: int | None, screen: Screen, options: Options) -> Message:
    """The review of a command that was typed, of the server `pid`, or, where neither is given, of the one that runs here."""
    command = the_running_server(pid) if pid is not None or not text.strip() else read_pasted(text)
    review, model = reviewed_for(screen.request, screen.path, command, options, simulated=screen.simulated)
    return ReviewReady(review, str(model or ""), same_model=model in (None, screen.path))
