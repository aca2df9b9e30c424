"""The whole path on real parts: open a model, change both types, launch, /health, one completion, stop."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from waiting import wait_until

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.http.client import ServerClient
from kvtui.server.process.ports import free_port
from kvtui.server.process.preflight import Address
from kvtui.server.program.marks import process_identity
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 90.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        await pilot.pause(0.1)
    assert condition()


def session(gemma: Path, server_path: Path) -> Session:
    machine = Machine((), host_memory())
    request = Request(load_model(gemma), ContextParams(n_ctx=2048, n_parallel=1), machine)
    address = Address(free_port(0).port)
    return Session(gemma, request, machine, simulated=False, server=str(server_path), address=address)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.mark.usefixtures("computes")
async def test_from_opening_to_a_completion_and_a_clean_stop(gemma: Path, server_path: Path) -> None:
    app = KvtuiApp(session(gemma, server_path))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and bool(app.state.rows))
        await pilot.press("k", "k", "v", "v")
        await until(pilot, lambda: app.state.working != "searching")
        context = app.state.request.context
        assert (context.type_k, context.type_v) == ("q8_0", "q8_0")
        await pilot.press("L")
        await until(pilot, lambda: app.state.server.ready)
        process = app.server.process
        assert process is not None
        assert "-ctk" in process.record.command
        assert process.record.command[process.record.command.index("-ctk") + 1] == "q8_0"
        client = ServerClient(app.state.server.url)
        assert client.health().state == "ready"
        answer = client.complete("The capital of France is", tokens=4)
        assert answer.predicted_tokens == 4
        assert "".join(answer.lines)
        assert "model loaded" in app.screen_text()
        pid = process.record.pid
        await pilot.press("x")
        await until(pilot, lambda: not app.state.server.running)
        assert process_identity(pid) is None
        assert "stopped" in app.screen_text()


@pytest.mark.usefixtures("computes")
@pytest.mark.parametrize(("key", "stays"), [("s", False), ("l", True)])
async def test_quitting_asks_what_becomes_of_the_server(gemma: Path, server_path: Path, key: str, stays: bool) -> None:
    app = KvtuiApp(session(gemma, server_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("L")
        await until(pilot, lambda: app.state.server.ready)
        process = app.server.process
        assert process is not None
        await pilot.press("q")
        assert "s stop it and quit" in app.screen_text()
        await pilot.press("escape")
        assert app.server.running
        await pilot.press("q")
        await pilot.press(key)
        if not stays:
            await asyncio.to_thread(wait_until, lambda: not process.is_running(), "the server has stopped")
    try:
        assert process.is_running() == stays
    finally:
        process.stop()


async def test_no_llama_server_is_one_line(gemma: Path, tmp_path: Path) -> None:
    app = KvtuiApp(session(gemma, tmp_path / "nothing"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("L")
        await until(pilot, lambda: "nothing" in app.state.notice)
        assert not app.server.running
