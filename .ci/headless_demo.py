"""Run a terminal program in an 80x24 pseudo-terminal, wait until it shows the demo's model, press q, expect a clean exit.

usage: headless_demo.py COMMAND [ARGS...]"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

TIME_LIMIT = 30.0  # seconds


def main() -> int:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(sys.argv[1], sys.argv[1:])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, asked, end = b"", False, time.monotonic() + TIME_LIMIT
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the program closed its terminal
                break
            if not data:
                break
            seen += data
        if not asked and b"Kimi" in seen and b"placement" in seen:
            os.write(terminal, b"q")
            asked = True
    else:
        os.kill(pid, 9)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(f"shown: {asked}, exit code {status}, {len(seen)} bytes sent")
    return 0 if asked and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
