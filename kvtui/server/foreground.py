"""`kvtui serve`: llama-server in the foreground, for scripts. Its output is ours, signals go to it, so does its exit code."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from kvtui.server.binary import ServerBinary
from kvtui.server.environment import child_environment
from kvtui.server.process import server_command

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP is not on Windows


def run_foreground(binary: ServerBinary, model: Path, argv: Sequence[str], env: Mapping[str, str], host: str, port: int) -> int:
    """Run until it ends; its exit code, or 128 + the signal that ended it."""
    command, _ = server_command(binary, model.absolute(), argv, port, host)
    key = {name: os.environ[name] for name in ("LLAMA_API_KEY",) if name in os.environ}  # asked for: never dropped silently
    child = subprocess.Popen(command, env=child_environment(binary.path, {**env, **key}), start_new_session=True)

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    for name in _PASSED_ON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), pass_on)
    code = child.wait()
    return code if code >= 0 else 128 - code
