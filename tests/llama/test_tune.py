"""`kvtui tune` with the prebuilt llama-server on loopback RPC devices: measured, kept, told, ended by a signal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from kvtui.server.program.marks import ASKED_VARIABLE, marked

Json = dict[str, Any]
SMALL = ("-c", "256", "-np", "1", "-ub", "64")
SHORT = ("--prompt", "12", "--generate", "2", "-ctk", "f16", "-ctv", "f16")


class Kvtui:
    """The program, with a state folder of its own and one model and server."""

    def __init__(self, server: Path, model: Path, state: Path) -> None:
        self._given = (str(model), "--llama-server", str(server), *SMALL)
        self._env = {**os.environ, "XDG_STATE_HOME": str(state)}
        self.state = state / "kvtui"

    def start(self, command: str, *args: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "kvtui", command, *self._given, *args]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True, env=self._env)

    def run(self, command: str, *args: str) -> tuple[Json, str, int]:
        child = self.start(command, *args, "--json")
        out, said = child.communicate(timeout=120)
        return json.loads(out), said, child.returncode

    def notes(self, *args: str) -> dict[str, str]:
        return {f["code"]: f["message"] for f in self.run("plan", *args)[0]["findings"]}


@pytest.fixture
def kvtui(server_path: Path, gemma: Path, tmp_path: Path) -> Kvtui:
    return Kvtui(server_path, gemma, tmp_path / "state")


@pytest.mark.usefixtures("computes")
def test_measured_kept_and_told(kvtui: Kvtui, rpc_endpoints: tuple[str, ...]) -> None:
    machine = ("--rpc", rpc_endpoints[0])
    value, said, code = kvtui.run("tune", *machine, *SHORT)
    assert code == 0
    plans = value["plans"]
    assert {p["kind"] for p in plans} == {"plan", "home"}
    assert len({tuple(p["argv"]) for p in plans}) == len(plans) == 2
    assert [p["problem"] for p in plans] == ["", ""]
    for p in plans:
        assert f"{p['name']}: loading" in said
        assert p["turn_seconds"] == pytest.approx(12 / p["prompt_tokens_per_second"] + 2 / p["tokens_per_second"])
    best = plans[value["fastest"]]
    assert best["turn_seconds"] == min(p["turn_seconds"] for p in plans)
    assert (value["argv"], best["fastest"]) == (best["argv"], True)
    assert value["argv"][:2] == ["--fit", "off"]

    again, said, _ = kvtui.run("tune", *machine, *SHORT)
    assert said == ""
    assert [p["turn_seconds"] for p in again["plans"]] == [p["turn_seconds"] for p in plans]
    assert all(p["measured_before"] for p in again["plans"])

    planned = next(p for p in plans if p["kind"] == "plan")
    notes = kvtui.notes(*machine)
    assert f": {planned['tokens_per_second']:.3g} tokens/s behind 12 tokens" in notes["speed-here"]
    assert "b10434" in notes["measured-here"]  # the memory it took is learned, too


@pytest.mark.usefixtures("computes")
def test_what_cannot_be_the_fastest_is_not_loaded(kvtui: Kvtui, rpc_endpoints: tuple[str, ...]) -> None:
    fast, slow = rpc_endpoints
    machine = ("--device", f"RPC0[{fast}]=2GiB@100GB/s", "--device", f"RPC1[{slow}]=2GiB@1MB/s", "--ram", "4GiB@1MB/s")
    value, said, code = kvtui.run("tune", *machine, *SHORT)
    assert code == 0
    first, *others = value["plans"]
    assert first["turn_seconds"] > 0
    assert [p["name"] for p in others] == ["all on RPC1"]
    assert others[0]["not_loaded"]
    assert others[0]["turn_seconds"] is None
    assert f"and {first['turn_seconds']:,.1f} s were measured" in others[0]["note"]
    assert "RPC1" not in said


@pytest.mark.usefixtures("computes")
def test_a_signal_leaves_no_server_behind(kvtui: Kvtui) -> None:
    child = kvtui.start("tune", "--ram", "4GiB", "--prompt", "200", "--generate", "20")
    assert child.stderr is not None
    for line in child.stderr:
        if line.endswith(": loading\n"):
            break

    def mine() -> list[str]:
        return [str(m) for m in marked(ASKED_VARIABLE) if m.mark.startswith(f"{child.pid} ")]

    wait_until(lambda: bool(mine()), "its server has started")
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (128 + signal.SIGTERM, "")
    wait_until(lambda: not mine(), "its server is gone")
    assert not (kvtui.state / "speeds").exists()


def test_a_server_that_refuses_is_a_row_with_its_reason(kvtui: Kvtui, rpc_endpoints: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"server": {"args": ["--threads", "no-number"]}}')
    value, _, code = kvtui.run("tune", "--config", str(config), "--rpc", rpc_endpoints[0], *SHORT)
    assert code == 1
    assert len(value["plans"]) == 2
    for p in value["plans"]:
        assert "--threads" in p["problem"]
        assert p["turn_seconds"] is None
    assert (value["fastest"], value["argv"]) == (None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--prompt", "300"), "a slot of 256 tokens holds 248 in all"),
        (("--device", "CUDA0=4GiB"), "--device CUDA0: is simulated"),
        (("--build", "b11434"), "--build b11434: llama-server b10434 is what runs"),
    ],
)
def test_what_cannot_be_measured_is_refused(kvtui: Kvtui, given: tuple[str, ...], message: str) -> None:
    child = kvtui.start("tune", "--ram", "4GiB", *given)
    out, said = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, "")
    assert message in said
    assert len(said.splitlines()) == 1
