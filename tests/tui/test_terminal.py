"""The real program in a real terminal: however it ends, the terminal is given back whole."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

ENOUGH_SECONDS = 60.0
ALTERNATE, MAIN, CURSOR_SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
BROKEN_KEY = """
import kvtui.tui.app as app
def broken(self):
    secret = "hunter2-hunter2"
    raise RuntimeError("no such theme")
app.KvtuiApp.next_theme = broken
"""


class Terminal:
    """`kvtui demo` on a pseudoterminal of its own, as the leader of a session."""

    def __init__(self, folder: Path, before: str = "", *more: str, **env: str) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 80))
        self.modes = termios.tcgetattr(self.slave)
        self.said = b""
        own = {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        self.child = subprocess.Popen(
            [sys.executable, "-c", f"{before}\nfrom kvtui.cli import main\nmain()", "demo", *more],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, **own, "TERM": "xterm-256color", "COLORTERM": "truecolor", **env},
            start_new_session=True,
        )

    def until(self, words: bytes) -> None:
        """Read until the screen has said so."""
        deadline = time.monotonic() + ENOUGH_SECONDS
        while words not in self.said:
            assert time.monotonic() < deadline, f"never said: {words!r}"
            self._read(0.1)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.said += os.read(self.master, 65536)
        return bool(ready)

    def end(self) -> tuple[int, str]:
        """(exit code, what was said after the screen was given back)."""
        deadline = time.monotonic() + ENOUGH_SECONDS
        while self.child.poll() is None:
            assert time.monotonic() < deadline, "it never ended"
            self._read(0.1)
        while self._read(0):
            pass
        left = self.said.rpartition(MAIN)[2].decode()
        return self.child.returncode, re.sub(r"\x1b\[[0-9;?<>=]*[a-z]", "", left).replace("\r\n", "\n")

    def close(self) -> None:
        """Nothing is left running."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)

    def is_whole(self) -> bool:
        """The main screen, a cursor, and the line's modes as they were."""
        after = self.said.rindex(ALTERNATE)
        return MAIN in self.said[after:] and CURSOR_SHOWN in self.said[after:] and termios.tcgetattr(self.slave) == self.modes


def test_the_mouse_stays_the_terminals_own(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.until(b"placement")
        assert not re.search(rb"\x1b\[\?(100[0235679]|101[56])h", terminal.said)
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("option", "line", "lean"),
    [
        ("--lean", "", True),
        ("--no-lean", "10.0.0.1 50000 10.0.0.2 22", False),
        ("", "10.0.0.1 50000 10.0.0.2 22", True),
        ("", "", False),
    ],
)
def test_fewer_colours_where_lean_was_asked_for_or_over_ssh(tmp_path: Path, option: str, line: str, lean: bool) -> None:
    terminal = Terminal(tmp_path, "", *filter(None, [option]), SSH_CONNECTION=line)
    try:
        terminal.until(b"placement")
        assert (b"38;5;" in terminal.said, b"38;2;" in terminal.said) == (lean, not lean)
    finally:
        terminal.close()


def test_no_style_is_left_behind(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.until(b"placement")
        os.write(terminal.master, b"q")
        assert terminal.end()[0] == 0
        styles = re.findall(rb"\x1b\[([0-9;]*)m", terminal.said.rpartition(MAIN)[0])
        assert len(styles) > 1
        assert styles[-1] in (b"", b"0")
    finally:
        terminal.close()


def test_a_terminal_that_is_closed_ends_the_app_without_a_report(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.until(b"placement")
        terminal.child.send_signal(signal.SIGHUP)  # as its terminal does when its window is closed
        os.close(terminal.slave)
        os.close(terminal.master)
        assert terminal.child.wait(ENOUGH_SECONDS) == 128 + signal.SIGHUP
        assert not list(tmp_path.rglob("reports"))
    finally:
        terminal.master, terminal.slave = pty.openpty()
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_whole(tmp_path: Path, number: signal.Signals) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.until(b"placement")
        assert not terminal.is_whole()
        terminal.child.send_signal(number)
        code, said = terminal.end()
        assert (code, said.strip()) == (128 + number, "")
        assert terminal.is_whole()
    finally:
        terminal.close()


def test_a_handler_that_breaks_leaves_one_line_a_report_and_a_whole_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, BROKEN_KEY)
    try:
        terminal.until(b"placement")
        os.write(terminal.master, b"t")
        code, said = terminal.end()
        assert code == 3
        said = said.strip()
        assert said.startswith("kvtui: the app failed: RuntimeError: no such theme; report: ")
        assert "\n" not in said
        assert terminal.is_whole()
        report = Path(said.rpartition("report: ")[2].strip()).expanduser().read_text()
        assert "RuntimeError: no such theme" in report
        assert "in _take_key" in report
    finally:
        terminal.close()
