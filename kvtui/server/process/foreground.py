"""`kvtui serve`: llama-server in the foreground, for scripts. Its output is ours, made safe to print; signals go to it, its
exit code is ours."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from kvtui.base.exit_codes import as_shells_say
from kvtui.base.secrets import own_secrets
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.process.outlet import Outlet
from kvtui.server.process.preflight import new_key
from kvtui.server.process.start import end_the_rest, server_command
from kvtui.server.program.marks import LAUNCH_VARIABLE

STDOUT, STDERR = 1, 2
PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP is not on Windows
PATIENCE = 2  # signals: at the second llama-server ends at once (tools/server/server.cpp, signal_handler), or never will
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
    came: list[int] = []  # signals, those before there was a server to pass them to among them

    def pass_on(number: int, _: FrameType | None) -> None:
        came.append(number)
        if child is not None:
            child.send_signal(number if len(came) <= PATIENCE else signal.SIGKILL)

    for name in PASSED_ON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), pass_on)
    mark = f"foreground-{secrets.token_hex(8)}"
    environment = child_environment(binary.path, {**env, **key, LAUNCH_VARIABLE: mark})
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    assert child.stderr is not None
    sys.stdout.flush()
    hidden = own_secrets(environment)
    outlets = [Outlet(child.stdout.fileno(), STDOUT, hidden), Outlet(child.stderr.fileno(), STDERR, hidden)]
    for number in tuple(came):
        child.send_signal(number)
    code = child.wait()
    if left := end_the_rest(child.pid, mark):
        say(f"killed what it had left behind: {', '.join(map(str, left))}")
    for outlet in outlets:
        outlet.finish()
    return as_shells_say(code)
