"""Starts one program and does not let it outlive whoever asked: the far end of this process's standard input.

Run by path, in a process group of its own. Over standard input (a socket) it is told what to start, and over it it
tells the errno of a failed start, 0 otherwise. When that socket ends, which the kernel sees to however the other side
died, or when the time is up, the whole group is killed. This asks nothing of the kernel but a socket: a parent-death
signal (Linux only) follows the thread that forked, and none of its children inherits it.
"""

import _thread
import contextlib
import marshal
import os
import select
import signal

HEADER_BYTES = 8  # length of what follows, big-endian; the answer is an errno in as many
STDIN = 0
LOOKS = 3  # for what it started: one that is forked in the middle of a look can be missed by it


def read_exactly(count: int) -> bytes:
    """So many bytes; EOFError if the other side has gone."""
    found = b""
    while len(found) < count:
        piece = os.read(STDIN, count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def watch(seconds: float, mark: bytes) -> None:
    """End everything when nobody is there any more, or it has taken too long."""
    select.select([STDIN], [], [], seconds)
    for _ in range(LOOKS):
        for pid in elsewhere(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def elsewhere(mark: bytes) -> list[int]:
    """What it started that went to a group of its own, by the mark in its environment (where /proc tells that)."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if mark in file.read():
                    found.append(int(entry))
    return found


def tell(number: int) -> None:
    """How the start went, to whoever is still there: the watch sees to the rest."""
    with contextlib.suppress(OSError):
        os.write(STDIN, number.to_bytes(HEADER_BYTES, "big"))


def main() -> None:
    """One program, to its end; ends as it did."""
    argv, env, seconds, mark = marshal.loads(read_exactly(int.from_bytes(read_exactly(HEADER_BYTES), "big")))
    nothing = (os.POSIX_SPAWN_OPEN, STDIN, "/dev/null", os.O_RDONLY, 0)
    _thread.start_new_thread(watch, (seconds, mark))  # before the start: there is no moment without it
    try:
        pid = os.posix_spawn(argv[0], argv, env, file_actions=[nothing], setsigdef=[signal.SIGPIPE])
    except OSError as error:
        tell(error.errno or 1)
        return
    tell(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
