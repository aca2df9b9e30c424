"""RAM's bandwidth in the app: measured by a key, and a described RAM's is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.hardware.device import HostMemory
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.tui.waiting import until

GIB = 2**30


def app_on(ram: HostMemory) -> KvtuiApp:
    """The bundled model, on its cards and that RAM."""
    request = demo_request()
    request = replace(request, machine=replace(request.machine, ram=ram))
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def said(app: KvtuiApp) -> bool:
    """The figure, or that it cannot be told on this machine now."""
    return "measured here" in app.state.notice or "try again" in app.state.notice


async def test_a_plan_without_a_speed_measures_ram_and_r_measures_it_again() -> None:
    app = app_on(HostMemory(700 * GIB, 768 * GIB))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: said(app))
        await pilot.press("1")
        assert "R measure RAM" in app.screen_text()
        await pilot.press("R")
        await until(pilot, lambda: said(app))
        found = app.state.request.machine.ram
        if found.bandwidth is not None:
            assert found.bandwidth_source == "measured here"
            await until(pilot, lambda: app.state.plan is not None and app.state.plan.request.machine.ram == found)
            assert app.state.plan is not None
            assert app.state.plan.speed is not None
            await pilot.press("h", "u")
            assert app.state.request.machine.ram == found


async def test_ram_that_is_described_is_not_measured() -> None:
    app = app_on(HostMemory(700 * GIB, 768 * GIB, bandwidth=300e9, bandwidth_source="given", simulated=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("1", "R")
        assert "--ram" in app.state.notice
        assert app.state.request.machine.ram.bandwidth == 300e9
