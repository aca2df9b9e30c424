"""`kvtui serve --watch` on the real server: lines of JSON, found by the app, ended by a signal."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from kvtui.server.http.client import ServerClient
from kvtui.server.process.ports import free_port
from kvtui.server.process.record import records
from kvtui.server.process.start import ServerProcess, survivors
from kvtui.server.program.marks import process_identity

Json = dict[str, Any]
XDG = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


class Watcher:
    """The command, and its lines as they come."""

    def __init__(self, command: list[str], folder: Path) -> None:
        env = {**os.environ, **dict.fromkeys(XDG, str(folder))}
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.lines: queue.Queue[Json] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.put(json.loads(line))

    def until(self, holds: Callable[[Json], bool]) -> Json:
        while True:
            line = self.lines.get(timeout=60)
            if holds(line):
                return line


@pytest.fixture
def watcher(server_path: Path, gemma: Path, tmp_path: Path) -> Iterator[Watcher]:
    command = [sys.executable, "-m", "kvtui", "serve", gemma, "-c", "1024", "-np", "2", "--ram", "8GiB", "--watch"]
    command += ["--every", "0.3", "--port", str(free_port(0).port), "--llama-server", server_path]
    started = Watcher(list(map(str, command)), tmp_path)
    yield started
    for record in records(tmp_path / "kvtui"):
        if process_identity(record.pid) == record.identity:
            os.kill(record.pid, signal.SIGKILL)
    started.child.kill()
    started.child.communicate()


def is_ready(line: Json) -> bool:
    return bool(line["state"] == "ready" and line["slots"])


@pytest.mark.usefixtures("computes")
def test_its_state_is_told_and_sigterm_ends_it_in_order(watcher: Watcher, tmp_path: Path) -> None:
    assert watcher.lines.get(timeout=60)["state"] == "loading"
    line = watcher.until(is_ready)
    assert [s["context"] for s in line["slots"]] == [512, 512]
    (ram,) = (row for row in line["memory"] if row["name"] == "CPU")
    assert ram["predicted"]["context"] == ram["actual"]["context"] > 0
    assert line["held"]["CPU"] > 0
    client = ServerClient(line["url"])
    assert client.complete("The sea", 16).predicted_tokens == 16
    served = watcher.until(lambda seen: bool(seen.get("tokens_per_second")))
    assert served["counters"]["tokens_predicted_total"] >= 16
    client.continued(client.tokens("The sea", special=True), 2, 60.0)  # from the cache, but for its last token
    again = watcher.until(lambda seen: seen["state"] == "ready" and bool(seen["counters"]))
    cached = again["counters"].get("prompt_tokens_cached_total")  # not every build counts it
    assert (again["cache_share"] is None) == (cached is None)
    assert (again["draft_share"], again["prompts"], again["checkpoints"]) == (None, [], 0)
    (ram,) = again["grew"]
    host = (next(iter(survivors(tmp_path / "kvtui"))).plan or {})["host"]
    assert (ram["name"], ram["said_bytes"]) == ("CPU", host["prompt_cache_bytes"] + host["checkpoint_bytes"])
    (record,) = survivors(tmp_path / "kvtui")
    looking = ServerProcess.attach(record)  # as an app does that comes by
    assert (looking.read_only, looking.other_app, record.pid) == (True, watcher.child.pid, line["pid"])
    watcher.child.send_signal(signal.SIGTERM)
    last = watcher.until(lambda seen: seen["state"] == "ended")
    assert (last["exit_code"], last["stopped"], last["reason"]) == (0, True, None)
    assert watcher.child.wait(30) == 0
    ended = looking.ended()
    assert ended is not None
    assert ended.stopped
    assert process_identity(record.pid) is None


@pytest.mark.usefixtures("computes")
def test_a_server_that_is_killed_is_told_and_its_code_is_ours(watcher: Watcher) -> None:
    line = watcher.until(is_ready)
    os.kill(line["pid"], signal.SIGKILL)
    last = watcher.until(lambda seen: seen["state"] == "ended")
    assert (last["exit_code"], last["stopped"]) == (-9, False)
    assert "kill" in last["reason"]
    assert watcher.child.wait(30) == 128 + 9


@pytest.mark.usefixtures("computes")
def test_the_server_outlives_a_killed_watcher_and_is_taken_up(watcher: Watcher, tmp_path: Path) -> None:
    watcher.until(is_ready)
    watcher.child.kill()
    watcher.child.wait()
    (record,) = survivors(tmp_path / "kvtui")
    server = ServerProcess.attach(record)
    assert not server.read_only
    wait_until(lambda: ServerClient(record.url).health().state == "ready", "it still serves")
    assert server.stop().gone


def test_a_pace_without_lines_is_refused(gemma: Path) -> None:
    command = [sys.executable, "-m", "kvtui", "serve", gemma, "--every", "3"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--every is for --watch" in done.stderr
