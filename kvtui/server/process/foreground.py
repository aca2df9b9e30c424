"""`kvtui serve`: llama-server in the foreground, for scripts. Its output is ours, signals go to it, so does its exit code."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.process.preflight import new_key
from kvtui.server.process.start import server_command

PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP is not on Windows
_KEY = "LLAMA_API_KEY"


def run_foreground(
    binary: ServerBinary,
    model: Path,
    argv: Sequence[str],
    env: Mapping[str, str],
    host: str,
    port: int,
    is_open: bool,
    say: Callable[[str], None],
) -> int:
    """Run until it ends; its exit code, or 128 + the signal that ended it. An address that others can reach gets an
    API key: the one in LLAMA_API_KEY, or a new one that `say` is told."""
    command, notes = server_command(binary, model.absolute(), argv, port, host)
    key = {_KEY: os.environ[_KEY]} if os.environ.get(_KEY) else {}
    if is_open and not key:
        key = {_KEY: new_key()}
        say(f"{host} is open to the network; API key: {key[_KEY]}")
    for note in notes:
        say(note)
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # signals that came before there was a server to pass them to

    def pass_on(number: int, _: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for name in PASSED_ON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), pass_on)
    child = subprocess.Popen(command, env=child_environment(binary.path, {**env, **key}), start_new_session=True)
    for number in early:
        child.send_signal(number)
    code = child.wait()
    return code if code >= 0 else 128 - code
