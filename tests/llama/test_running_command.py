"""A real llama-server's command, looked over while it runs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting import wait_until

from kvtui.cli.commands import cli
from kvtui.server.binary.environment import child_environment
from kvtui.server.process.ports import free_port
from kvtui.server.program.running import running_servers


@pytest.fixture
def running(server_path: Path, gemma: Path) -> Iterator[int]:
    """Its pid; it is looked at as soon as it is what it was started as."""
    argv = [server_path, "-m", gemma.name, "-c", "2048", "-np", "1", "-ot", r"blk\.0\.=CPU"]
    argv += ["--host", "127.0.0.1", "--port", str(free_port(0).port)]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        argv, cwd=gemma.parent, stdout=quiet, stderr=quiet, env=child_environment(server_path), start_new_session=True
    )
    try:
        wait_until(lambda: child.pid in running_servers(), "the process shows its command")
        yield child.pid
    finally:
        child.kill()
        child.wait()


def test_a_running_server_is_looked_over(running: int, gemma: Path) -> None:
    given = ["review", "--pid", str(running), "--device", "CUDA0=4GiB@900GB/s", "--ram", "8GiB@50GB/s", "--json"]
    done = CliRunner().invoke(cli, given, standalone_mode=False)
    value = json.loads(done.stdout)
    assert (value["pid"], value["model"]["path"], value["context"]["requested"]) == (running, str(gemma), 2048)
    assert value["patterns"][0]["tensors"] == 13  # of a block: six norms, four of attention, three of its FFN
    assert value["fits"]
