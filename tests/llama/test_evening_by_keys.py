"""A first evening by keys alone, at 80 x 24, with a real model, a real server and a device: each key is one that the screen names
before it is pressed, and they are counted."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port
from kvtui.tasks.remote_devices import rpc_devices
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.tui.waiting import until

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def session(gemma: Path, server_path: Path, endpoint: str, port: int) -> Session:
    machine = Machine(rpc_devices(endpoint, str(server_path)), host_memory())
    request = Request(load_model(gemma), ContextParams(), machine)
    return Session(gemma, request, machine, simulated=False, server=str(server_path), address=Address(port))


async def pressed(pilot: Pilot[None], app: KvtuiApp, *keys: tuple[str, str]) -> int:
    """How many keys; each is pressed once the screen names it."""
    for key, named in keys:
        await until(pilot, lambda named=named: named in app.screen_text())
        await pilot.press(key)
    return len(keys)


@pytest.mark.usefixtures("computes")
async def test_from_half_the_cache_to_coming_back(gemma: Path, server_path: Path, rpc_endpoints: tuple[str, ...]) -> None:
    asked = session(gemma, server_path, rpc_endpoints[0], free_port(0).port)
    app = KvtuiApp(asked)
    process = None
    try:
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.state.plan is not None and app.state.rows_complete)

            assert await pressed(pilot, app, ("h", "h half")) <= 1
            assert "q8_0/q8_0: " in app.screen_text()

            assert await pressed(pilot, app, ("C", "C max")) <= 2
            await until(pilot, lambda: "context max 32,768" in app.screen_text())

            marks = (("3", "3 placement"), ("space", "Space marks"), ("down", "up/down ten"), ("left", "left/right"))
            assert await pressed(pilot, app, *marks, (".", "blocks 0-9: FFN to 0 RPC0  . RAM")) <= 8
            assert "blocks 0-9: FFN, 26 MiB, pinned to RAM" in app.screen_text()
            await until(pilot, lambda: "block 9: FFN in RAM, attention on RPC0; pinned" in app.screen_text())

            assert await pressed(pilot, app, ("L", "L launch")) <= 1
            await until(pilot, lambda: app.state.server.ready)
            process = app.server.process

            await until(pilot, lambda: bool(app.state.server.actual))
            assert await pressed(pilot, app, ("d", "d actual")) <= 1
            page = app.screen_text()
            assert all(f"{name} predicted" in page for name in ("RPC0", "RAM "))
            assert "actual" in page
            assert await pressed(pilot, app, ("escape", "Esc closes")) == 1  # not a step of its own

            assert await pressed(pilot, app, ("q", "q quit"), ("l", "l leave it running")) <= 2
            await until(pilot, lambda: not app.is_running)
        assert process is not None
        assert process.is_running()
        again = KvtuiApp(replace(asked, request=Request(load_model(gemma), ContextParams(), asked.machine)))
        async with again.run_test(size=SIZE) as pilot:
            running = f"running: q8_0 32k, port {asked.address.port}  on screen: the same"
            await until(pilot, lambda: running in again.screen_text())
            await until(pilot, lambda: "│ pinned    ^^^^^^^^^^ " in again.screen_text())
    finally:
        if process is not None:
            process.stop()
