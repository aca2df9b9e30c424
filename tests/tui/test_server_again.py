"""Coming back to a server that runs: its plan on the screen, the other a key away, and never as another model's own."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Pin, Request
from kvtui.server.binary.inspect import inspect
from kvtui.server.process.ports import free_port
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.last_request import keep_last, last_request
from kvtui.tasks.launch import record_plan
from kvtui.tui.app import KvtuiApp
from kvtui.tui.run import first_state
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import MIB, Stub, free_address, stub_server
from tests.tui.test_picker import picker
from tests.tui.waiting import until

SIZE = (100, 30)
CARD = Device("CUDA0", 3000 * MIB, 24576 * MIB, bandwidth=9e11, link=1.3e10, description="RTX 3090")
BEFORE = replace(CARD, free_bytes=23000 * MIB)  # what was free when the server was launched
RAM = HostMemory(64 * 2**30, 64 * 2**30, bandwidth=5e10)

PORT = free_port(0).port


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return stub_server(tmp_path / "llama-b11434")


@pytest.fixture
def model(tmp_path: Path, headers: HeaderArchive) -> Path:
    return headers.write("gemma3-dense", tmp_path)


def asked(model: Path, types: str, n_ctx: int, device: Device = CARD) -> Request:
    return Request(load_model(model), ContextParams(n_ctx=n_ctx, type_k=types, type_v=types), Machine((device,), RAM))


def session(model: Path, request: Request, stub: Stub) -> Session:
    return Session(
        path=model, request=request, machine=request.machine, simulated=False, server=str(stub.path), address=free_address()
    )


@pytest.fixture
def left_running(stub: Stub, model: Path) -> Iterator[ServerProcess]:
    """A server of an app that has gone: q8_0 at 32,000, one block pinned to RAM."""
    request = replace(asked(model, "q8_0", 32000, BEFORE), pins=(Pin(r"blk\.1\.ffn_up", "CPU"),))
    plan = quick_plan(request)
    process = ServerProcess.launch(inspect(stub.path), model, plan.argv, PORT, plan=record_plan(plan, model))
    process.leave()
    yield process
    with suppress(PermissionError):
        process.stop()


async def test_the_running_plan_comes_back_and_the_other_is_a_key_away(
    left_running: ServerProcess, model: Path, stub: Stub
) -> None:
    keep_last(asked(model, "f16", 16000))
    here = session(model, asked(model, "f16", 0), stub)
    app = KvtuiApp(here, first_state(here))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.state.server.ready and app.state.plan is not None and app.state.working == "")
        assert f"running: q8_0 32k, port {PORT}" in app.screen_text()
        assert "on screen: the same" in app.screen_text()
        assert "context 32,000" in app.screen_text()
        plan = app.state.plan
        assert plan is not None
        assert plan.request.pins == (Pin(r"blk\.1\.ffn_up", "CPU"),)
        assert left_running.record.plan is not None
        assert list(plan.argv) == left_running.record.plan["argv"]  # planned for the memory there was
        assert "j other plan" in app.screen_text()
        assert "J running plan" not in app.screen_text()
        await pilot.press("j")
        await until(pilot, lambda: "on screen: f16 16k" in app.screen_text())
        assert "J running plan" in app.screen_text()
        assert "j other plan" not in app.screen_text()
        await pilot.press("J")
        await until(pilot, lambda: "on screen: the same" in app.screen_text())
        await pilot.press("u")
        await until(pilot, lambda: "on screen: f16 16k" in app.screen_text())
        await pilot.press("J")
        last = last_request(app.state.request)
        assert last is not None
    await until(pilot, lambda: not app.is_running)
    last = last_request(app.state.request)
    assert last is not None
    assert (last.type_k, last.n_ctx) == ("f16", 16000)  # what was only shown is not what was asked last


async def test_another_models_server_is_named_and_not_this_ones_state(
    left_running: ServerProcess, tmp_path: Path, headers: HeaderArchive, stub: Stub
) -> None:
    other = headers.write("qwen3moe-moe", tmp_path)
    app = KvtuiApp(session(other, asked(other, "f16", 16000), stub))
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: app.state.server.ready and app.state.plan is not None)
        head = app.screen_text().splitlines()[0]
        assert head.startswith(f" running gemma3-dense.gguf: q8_0 32k, port {PORT}, ready ")
        assert f"on screen: {app.state.request.model.name} f16 16k" in head
        assert head.count("ready") == 1
        await pilot.press("J")
        assert "no server of this model runs" in app.screen_text()
        await pilot.press("L")
        assert "llama-server is running gemma3-dense.gguf" in app.screen_text()
        await pilot.press("escape")


async def test_the_list_of_models_names_what_runs(left_running: ServerProcess, tmp_path: Path) -> None:
    app = picker(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: f"running: gemma3-dense.gguf: q8_0 32k, port {PORT}" in app.pane.text())
        await pilot.press("escape")
