"""Run a program for its words: bounded in time and in output, in its own session, never through a shell."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OUTPUT_LIMIT_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Answer:
    """What a program said (stdout and stderr in one, decoded loosely) and how it ended (`None`: it was stopped)."""

    text: str
    returncode: int | None


def kill_group(pid: int, number: int) -> bool:
    """Signal a whole process group; False when it is gone already."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def run_program(
    argv: Sequence[str], env: Mapping[str, str], timeout_seconds: float = 20.0, limit_bytes: int = OUTPUT_LIMIT_BYTES
) -> Answer:
    """Start, read up to `limit_bytes`, end. OSError if it cannot be started."""
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        start_new_session=True,
    )
    assert child.stdout is not None
    late = threading.Event()

    def stop() -> None:
        late.set()
        kill_group(child.pid, signal.SIGKILL)

    timer = threading.Timer(timeout_seconds, stop)
    timer.start()
    try:
        output = child.stdout.read(limit_bytes)
        if len(output) == limit_bytes:
            stop()
        child.wait()
    finally:
        timer.cancel()
        kill_group(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    return Answer(output.decode("utf-8", "replace"), None if late.is_set() else child.returncode)
