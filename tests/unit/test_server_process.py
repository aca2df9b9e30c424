"""Starting, stopping, surviving: with small programs that behave badly in place of llama-server."""

import contextlib
import errno
import json
import os
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
from kvtui.server.process.leftovers import leftovers
from kvtui.server.process.record import KEPT_LAUNCHES, RECORD, is_alive, load, records
from kvtui.server.process.start import ServerProcess, survivors
from kvtui.server.program.marks import ASKED_VARIABLE, process_identity

HELP = """\
-lv,   --verbosity, --log-verbosity N   level
--host HOST                             address
--port PORT                             port
--metrics                               metrics
-ot,   --override-tensor PATTERN        list
--api-key-file FNAME                    file
"""
QUICK = ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0))

Launch = Callable[..., ServerProcess]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    return tmp_path / "state"


@pytest.fixture
def launch(tmp_path: Path, state: Path) -> Iterator[Launch]:
    """Starts a Python program as if it were llama-server; what is left of it is killed at the end."""
    started: list[ServerProcess] = []

    def start(code: str, *argv: str, api_key: str | None = None, plan: dict[str, object] | None = None) -> ServerProcess:
        path = tmp_path / f"llama-server-{len(started)}"
        path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{code}\n")
        path.chmod(0o755)
        binary = ServerBinary(path, "b11434", "version", "", ("CPU",), parse_help(HELP))
        server = ServerProcess.launch(binary, tmp_path / "m.gguf", argv, 18080, api_key=api_key, plan=plan, state=state)
        started.append(server)
        return server

    yield start
    for server in started:
        for pid in (server.record.pid, *_session(server.record.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if server._child:
            server._child.wait()
        server.leave()


def _session(session: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _sid(int(p.name)) == session]


def _sid(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def until_says(server: ServerProcess, words: str) -> None:
    deadline = time.monotonic() + 20
    while not any(words in line.text for line in server.tail.lines):
        assert time.monotonic() < deadline, [line.text for line in server.tail.lines]
        server.read_log()
        time.sleep(0.01)


def test_starts_with_exactly_its_arguments_in_its_own_session(launch: Launch) -> None:
    server = launch("print(sys.argv[1:], os.getsid(0) == os.getpid(), flush=True); time.sleep(60)", "-ot", "a b; rm -rf ~")
    until_says(server, "rm -rf")
    model = server.record.model
    arguments = ["-m", model, "-ot", "a b; rm -rf ~", "-lv", "4", "--metrics", "--host", "127.0.0.1", "--port", "18080"]
    assert server.tail.lines[0].text == f"{arguments} True"
    assert os.getsid(server.record.pid) == server.record.pid != os.getsid(0)
    assert server.ended() is None
    assert str(server.stop(steps=QUICK)).startswith("stopped: SIGINT ")


def test_its_environment_has_no_settings_of_ours(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "1")
    server = launch("print(sorted(k for k in os.environ if 'LLAMA' in k), os.environ['CUDA_DEVICE_ORDER'], flush=True)")
    until_says(server, "PCI_BUS_ID")
    assert server.tail.lines[0].text == "[] PCI_BUS_ID"


def test_a_key_is_in_a_private_file_only(launch: Launch) -> None:
    server = launch("print('the key:', open(sys.argv[-1]).read(), flush=True); time.sleep(60)", api_key="sesame-1234")
    until_says(server, "the key")
    assert server.tail.lines[0].text == "the key: ***"
    assert "sesame-1234" not in Path(f"/proc/{server.record.pid}/cmdline").read_text()
    assert "sesame-1234" not in Path(f"/proc/{server.record.pid}/environ").read_text()
    assert "sesame-1234" not in (server.record.folder / RECORD).read_text()
    assert server.record.key_file is not None
    assert server.record.key_file.stat().st_mode & 0o077 == 0
    assert ServerProcess.attach(server.record).api_key == "sesame-1234"


def test_cells_that_a_log_does_not_tell_are_not_looked_for_all_night(launch: Launch) -> None:
    server = launch("print('older', flush=True); time.sleep(60)")
    until_says(server, "older")
    assert [server.cells() for _ in range(4)] == [None] * 4
    with server.record.log.open("a") as log:
        log.write("llama_context: n_ctx = 4096\nllama_context: kv_unified = true\n")
    assert server.cells() is None


def test_what_ignores_sigint_gets_sigterm(launch: Launch) -> None:
    server = launch("signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    until_says(server, "up")
    said: list[str] = []
    report = server.stop(said.append, QUICK)
    assert said == ["SIGINT", "SIGTERM"]
    assert [name for name, _ in report.steps] == said
    assert report.gone
    ended = server.ended()
    assert ended is not None
    assert (ended.exit_code, ended.stopped, ended.reason) == (-signal.SIGTERM, True, None)


def test_what_ignores_everything_is_killed(launch: Launch) -> None:
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    server = launch(f"{ignore}; print('up', flush=True); time.sleep(60)")
    until_says(server, "up")
    assert [name for name, _ in server.stop(steps=QUICK).steps] == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert not server.is_running()


def test_children_that_it_forked_do_not_outlive_a_stop(launch: Launch) -> None:
    server = launch(
        "signal.signal(signal.SIGINT, lambda *_: os._exit(0))\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0); signal.signal(signal.SIGINT, signal.SIG_IGN); print('forked', flush=True); time.sleep(60)\n"
        "time.sleep(60)"
    )
    until_says(server, "forked")
    report = server.stop(steps=QUICK)
    assert report.gone
    (child,) = report.left_over
    assert process_identity(child.pid) is None
    assert str(report).endswith(f"; killed what it had left behind: {child.name} (pid {child.pid})")


def test_a_child_that_went_to_its_own_session_is_found_by_its_mark(launch: Launch, state: Path) -> None:
    server = launch(
        "signal.signal(signal.SIGINT, lambda *_: os._exit(0))\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); signal.signal(signal.SIGINT, signal.SIG_IGN); print('away', os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(60)"
    )
    until_says(server, "away")
    child = int(server.tail.lines[-1].text.split()[1])
    assert leftovers(state) == ()  # its server runs
    os.kill(server.record.pid, signal.SIGINT)
    assert server.wait(20)
    (left,) = leftovers(state)
    assert (left.process.pid, left.origin) == (child, "left behind by a server that has ended")
    report = server.stop(steps=QUICK)
    assert [m.pid for m in report.left_over] == [child]
    assert leftovers(state) == ()


def test_what_an_ended_kvtui_asked_is_named(tmp_path: Path, state: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f"#!{sys.executable}\nimport time\nprint('up', flush=True)\ntime.sleep(60)\n")
    program.chmod(0o755)
    asked = {**os.environ, ASKED_VARIABLE: "1 of-another-start"}
    with subprocess.Popen([program], env=asked, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        named = [str(x) for x in leftovers(state) if x.process.pid == child.pid]
        child.kill()
    assert named == [f"{named[0].split()[0]} (pid {child.pid}) still runs, asked by a kvtui that has gone"]


def test_a_crash_tells_its_code_its_last_words_and_the_reason(launch: Launch) -> None:
    server = launch(
        'print("0.00.002.136 E srv  start: couldn\'t bind HTTP server socket, hostname: 127.0.0.1, port: 80"); sys.exit(1)'
    )
    assert server.wait(20)
    ended = server.ended()
    assert ended is not None
    assert (ended.exit_code, ended.stopped, ended.reason) == (1, False, "port 80 of 127.0.0.1 is in use")
    assert "couldn't bind" in ended.telling[-1]
    saved = load(server.record.folder)
    assert saved is not None
    assert saved.ended == ended


def test_an_end_by_signal_tells_which(launch: Launch) -> None:
    server = launch("os.kill(os.getpid(), signal.SIGSEGV)")
    assert server.wait(20)
    ended = server.ended()
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (-signal.SIGSEGV, "ended by SIGSEGV")


def test_a_log_without_end_never_holds_up_the_app(launch: Launch) -> None:
    server = launch("while True: sys.stdout.write('x' * 79 + '\\n')")
    until_says(server, "MiB of log not shown")
    assert len(server.tail.lines) <= server.tail.ring_lines
    assert server.stop(steps=QUICK).gone


def test_what_cannot_be_started_is_said_and_noted(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_text("no program")
    binary = ServerBinary(path, "b1", "version", "", (), parse_help(HELP))
    with pytest.raises(PermissionError):
        ServerProcess.launch(binary, tmp_path / "m.gguf", [], 18080, state=state)
    (record,) = records(state)
    assert record.ended is not None
    assert record.ended.reason == "cannot be started: Permission denied"
    assert survivors(state) == ()


PARENT = """\
import os, signal, sys
from pathlib import Path
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.binary.help import parse_help
from kvtui.server.process.start import ServerProcess
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
binary = ServerBinary(Path(sys.argv[1]), "b11434", "version", "", ("CPU",), parse_help(sys.argv[3]))
server = ServerProcess.launch(binary, Path("m.gguf"), ["-c", "4096"], 18080, plan={"schema": 1}, state=Path(sys.argv[2]))
print(server.record.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def orphan(tmp_path: Path, state: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A kvtui of its own (in a session and terminal group of its own) that started a server; both pids."""
    program = tmp_path / "llama-server"
    program.write_text(f"#!{sys.executable}\nimport time\nprint('up', flush=True)\ntime.sleep(60)\n")
    program.chmod(0o755)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(program), str(state), HELP],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    yield parent, server
    parent.kill()
    parent.communicate()
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_server_outlives_its_app_and_is_found_again(
    orphan: tuple[subprocess.Popen[bytes], int], state: Path, number: signal.Signals
) -> None:
    parent, pid = orphan
    os.killpg(parent.pid, number)
    parent.wait(30)
    (record,) = survivors(state)
    assert record.pid == pid
    assert is_alive(record)
    assert record.plan == {"schema": 1}
    server = ServerProcess.attach(record)
    assert not server.read_only
    until_says(server, "up")
    report = server.stop(steps=QUICK)
    assert report.gone
    assert survivors(state) == ()
    assert process_identity(pid) is None


def test_a_second_app_only_looks(orphan: tuple[subprocess.Popen[bytes], int], state: Path) -> None:
    parent, pid = orphan
    (record,) = survivors(state)
    server = ServerProcess.attach(record)
    assert server.read_only
    assert server.other_app == parent.pid
    assert server.is_running()
    until_says(server, "up")
    with pytest.raises(PermissionError, match=f"pid {parent.pid}"):
        server.stop()
    assert process_identity(pid) is not None


def test_an_end_that_nobody_saw_is_explained_by_the_log(orphan: tuple[subprocess.Popen[bytes], int], state: Path) -> None:
    parent, pid = orphan
    parent.kill()
    parent.wait(30)
    (record,) = survivors(state)
    with record.log.open("a") as log:
        log.write("0.00.004.454 E gguf_init_from_file: failed to open GGUF file '/m' (No such file or directory)\n")
    os.kill(pid, signal.SIGKILL)
    server = ServerProcess.attach(record)
    assert server.wait(20)
    ended = server.ended()
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (None, "the model file cannot be opened: /m (No such file or directory)")
    assert survivors(state) == ()


def test_a_kill_under_the_eyes_of_an_app_that_came_back_is_told_as_one(
    orphan: tuple[subprocess.Popen[bytes], int], state: Path
) -> None:
    parent, pid = orphan
    parent.kill()
    parent.wait()
    server = ServerProcess.attach(survivors(state)[0])
    assert server.is_running()
    os.kill(pid, signal.SIGKILL)
    assert server.wait(10)
    ended = server.ended()
    assert ended is not None
    assert ended.exit_code is None
    assert ended.reason is not None
    assert ended.reason.startswith("ended all at once before kvtui's eyes")


def test_a_launch_that_was_cut_short_is_found_by_its_mark(orphan: tuple[subprocess.Popen[bytes], int], state: Path) -> None:
    """kill -9 between the start and the note of the pid."""
    _, pid = orphan
    (record,) = survivors(state)
    path = record.folder / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 0, "identity": ""}))
    (found,) = survivors(state)
    assert found.pid == pid
    assert is_alive(found)


def test_another_process_with_the_same_pid_is_not_the_server(orphan: tuple[subprocess.Popen[bytes], int], state: Path) -> None:
    parent, pid = orphan
    parent.kill()
    parent.wait(30)
    (record,) = survivors(state)
    path = record.folder / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": "earlier:1"}))
    (record,) = survivors(state)
    server = ServerProcess.attach(record)
    assert not server.is_running()
    assert server.stop(steps=QUICK).steps == ()
    assert process_identity(pid) is not None  # left alone


def test_a_damaged_or_newer_record_is_passed_over(launch: Launch, state: Path) -> None:
    server = launch("time.sleep(60)")
    path = server.record.folder / RECORD
    whole = path.read_text()
    for text in (whole[:20], json.dumps({**json.loads(whole), "schema": 99}), "[]", ""):
        path.write_text(text)
        assert records(state) == ()


def test_old_launches_are_cleared_away_running_ones_never(launch: Launch, state: Path) -> None:
    running = launch("time.sleep(60)")
    for _ in range(KEPT_LAUNCHES + 3):
        ended = launch("pass")
        ended.wait(20)
        ended.ended()
    launch("pass")
    kept = records(state)
    assert len([r for r in kept if r.ended]) <= KEPT_LAUNCHES
    assert running.record.folder in [r.folder for r in kept]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_before_the_start_starts_nothing(launch: Launch, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvtui.server.process.start.save", full)
    with pytest.raises(OSError, match="No space"):
        launch("time.sleep(60)")
    assert list((state / "servers").iterdir()) == []


def test_a_disk_that_is_full_by_the_end_keeps_nobody_from_stopping(
    launch: Launch, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = launch("time.sleep(60)")
    monkeypatch.setattr("kvtui.server.process.start.save", full)
    assert server.stop(steps=QUICK).gone
    ended = server.ended()
    assert ended is not None
    assert ended.stopped
    (record,) = survivors(state)  # its end could not be noted
    assert not is_alive(record)


def test_nothing_leaks_from_launches_and_logs(launch: Launch) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    def once() -> None:
        server = launch("print('up', flush=True); time.sleep(60)")
        until_says(server, "up")
        looker = ServerProcess.attach(server.record)
        looker.read_log()
        looker.leave()
        server.stop(steps=QUICK)
        server.leave()

    once()
    before = held()
    for _ in range(10):
        once()
    assert held() == before
