"""Programs asked for their words do not outlive who asked, whatever they and we die of."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure import dry_run as asking
from kvtui.server.program.marks import ASKED_VARIABLE, asked_by_us, asker_lives, marked
from kvtui.server.program.run import run_program
from kvtui.server.program.short_lived import Cancelled, ShortLived

SECONDS = 30.0
HELP = "--fit VALUE      fit\n-c N             context\n--port PORT      port\n--host HOST      host\n-v               all\n"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def program(folder: Path, code: str) -> Path:
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("code", "text", "returncode"),
    [
        ("print('help')", "help\n", 0),
        ("sys.stderr.write('no'); sys.exit(7)", "no", 7),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "", -signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", "", -signal.SIGKILL),
        ("print(repr(sys.stdin.read()), os.environ['X'])", "'' y\n", 0),
    ],
)
def test_words_and_end_come_through(tmp_path: Path, code: str, text: str, returncode: int) -> None:
    answer = run_program([str(program(tmp_path, code))], {"X": "y"}, SECONDS)
    assert (answer.text, answer.returncode) == (text, returncode)


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_program([str(tmp_path / "none")], {})
    (tmp_path / "file").write_text("x")
    with pytest.raises(PermissionError):
        run_program([str(tmp_path / "file")], {})


def test_a_stop_is_heard_and_ends_all_of_it(tmp_path: Path) -> None:
    path = program(tmp_path, "if os.fork() == 0: os.setsid()\nprint('up', flush=True); time.sleep(600)")
    stop = threading.Event()
    mine = asked_by_us()

    def listen() -> None:
        with ShortLived([str(path)], {}, SECONDS) as child:
            for _ in child.pieces(1000, stop):
                until(lambda: len(marked(ASKED_VARIABLE, mine)) == 2, "it forked")
                stop.set()

    with pytest.raises(Cancelled):
        listen()
    until(lambda: not marked(ASKED_VARIABLE, mine), "both are gone")


PARENT = """\
import sys, threading
from pathlib import Path
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.dry_run import dry_run
from kvtui.server.program.run import run_program
how, path, folder, help = sys.argv[1:]
binary = ServerBinary(Path(path), "b11434", "version", "", ("CPU",), parse_help(help))
jobs = {"dry run": lambda: dry_run(binary, Path("m.gguf"), ("-c", "512"), 600, cache=Path(folder)),
        "help": lambda: run_program([path, "--help"], {}, 600)}
thread = threading.Thread(target=jobs[how])
thread.start()
thread.join()
"""
HANGS = "if os.fork() == 0: os.setsid()\nopen(sys.argv[0] + '.up', 'a').write('x')\nsignal.pause()"


@pytest.fixture
def app() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: object) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen([sys.executable, "-c", PARENT, *map(str, argv), HELP])
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


@pytest.mark.parametrize("how", ["dry run", "help"])
def test_nothing_is_left_when_the_app_is_killed(tmp_path: Path, app: Callable[..., "subprocess.Popen[bytes]"], how: str) -> None:
    """The program ignores nothing and ends by nothing; one half of it goes to a session of its own."""
    path = program(tmp_path, HANGS)
    up = tmp_path / "llama-server.up"
    parent = app(how, path, tmp_path)
    until(lambda: up.exists() and up.stat().st_size == 2, "both halves are up")
    mine = [m for m in marked(ASKED_VARIABLE) if m.mark.startswith(f"{parent.pid} ")]
    assert len(mine) == 2
    assert all(asker_lives(m.mark) for m in mine)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not any(m.mark == mine[0].mark for m in marked(ASKED_VARIABLE)), "nothing carries its mark")
    assert not asker_lives(mine[0].mark)


def test_newlines_without_end_are_bounded(tmp_path: Path) -> None:
    """In a process of its own, so that its peak is of this alone."""
    path = program(tmp_path, "while True: os.write(1, b'\\n' * 65536)")
    code = PARENT + "print(next(x for x in open('/proc/self/status') if x.startswith('VmHWM')).split()[1])"
    said = subprocess.run(
        [sys.executable, "-c", code, "dry run", path, tmp_path, HELP], stdout=subprocess.PIPE, check=True, timeout=120
    )
    assert int(said.stdout) < 200 * 1024  # KiB


def test_a_dry_run_of_endless_lines_is_ended(tmp_path: Path) -> None:
    path = program(tmp_path, "while True: os.write(1, b'0.00.001.000 I x\\n' * 4096)")
    binary = ServerBinary(path, "b11434", "version", "", ("CPU",), parse_help(HELP))
    answer = asking.dry_run(binary, Path("m.gguf"), ("-c", "512"), SECONDS, cache=tmp_path)
    assert answer.impossible == "it says more than a dry run does, and no answer in it"
    assert not marked(ASKED_VARIABLE, asked_by_us())
