"""What a server that ran here taught: told with what would change, planned with when a key asks, taken back by another."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.state import State
from tests.conftest import HeaderArchive
from tests.tui.stub_server import MIB, READY, free_address, stub_server
from tests.tui.waiting import until

FREE_MIB = 12000
CARD = Device("CUDA0", FREE_MIB * MIB, 12288 * MIB, bandwidth=9e11, link=1.3e10, description="RTX 3090")
RAM = HostMemory(64 * 2**30, 64 * 2**30, bandwidth=5e10)
USING = f"0.00.001.001 I llama_prepare_model_devices: using device CUDA0 (RTX 3090) (0000:01:00.0) - {FREE_MIB} MiB free"
WEIGHTS = "0.00.001.002 I load_tensors:        CUDA0 model buffer size =  5000.00 MiB"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.fixture
def session(tmp_path: Path, headers: HeaderArchive) -> Session:
    model = headers.write("gemma-3-27b-q4_k_m", tmp_path)
    request = Request(load_model(model), ContextParams(n_ctx=16000), Machine((CARD,), RAM))
    stub = stub_server(tmp_path / "llama-b11434")
    stub.have([("CUDA0", 12288, FREE_MIB)])
    return Session(
        path=model, request=request, machine=request.machine, simulated=False, server=str(stub.path), address=free_address()
    )


def settled(app: KvtuiApp) -> bool:
    return app.state.plan is not None and app.state.working == "" and bool(app.state.binaries)


def argv(app: KvtuiApp) -> tuple[str, ...]:
    assert app.state.plan is not None
    return app.state.plan.argv


@asynccontextmanager
async def launched(session: Session, lines: Sequence[str]) -> AsyncIterator[tuple[KvtuiApp, Pilot[State]]]:
    """The app with a server that said these lines; it is stopped at the end."""
    Path(str(session.server)).with_name("lines.txt").write_text("".join(f"{line}\n" for line in lines))
    app = KvtuiApp(session)
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: settled(app))
        await pilot.press("L")
        await until(pilot, lambda: app.state.server.ready)
        try:
            yield app, pilot
        finally:
            await pilot.press("x")
            await until(pilot, lambda: not app.state.server.running)


async def test_a_plan_that_ran_stays_until_a_key_takes_what_it_taught(session: Session) -> None:
    compute = "0.00.001.003 I sched_reserve:      CUDA0 compute buffer size =  3000.00 MiB"
    async with launched(session, [USING, WEIGHTS, compute, READY.strip()]) as (app, pilot):
        ran = argv(app)
        await until(pilot, lambda: "measured here: CUDA0 +" in app.screen_text())
        assert "U plans with it, " in app.screen_text()
        assert " blocks would move" in app.screen_text()
        assert "U use measured" in app.screen_text()
        assert argv(app) == ran
        await pilot.press("2")
        await until(pilot, lambda: settled(app))
        assert argv(app) == ran
        await pilot.press("U")
        await until(pilot, lambda: settled(app) and argv(app) != ran)
        assert "planned with what was measured here; u takes it back" in app.screen_text()
        assert "moved: " in app.screen_text()
        assert "U use measured" not in app.screen_text()
        taught = argv(app)
        await pilot.press("u")
        await until(pilot, lambda: settled(app) and argv(app) == ran)
        assert "U use measured" in app.screen_text()
        await pilot.press("r")
        await until(pilot, lambda: settled(app) and argv(app) == taught)
        await pilot.press("c", *"8000", "enter", "u")  # a change and back: still what it was
        await until(pilot, lambda: settled(app) and argv(app) == taught)


async def test_a_log_that_is_not_believed_is_said(session: Session) -> None:
    more = "0.00.001.003 I load_tensors:        CUDA0 model buffer size = 90000.00 MiB"
    async with launched(session, [USING, more, READY.strip()]) as (app, pilot):
        said = "nothing is learned from this run: CUDA0 would hold 90,000 MiB of 12,000 MiB that were free"
        await until(pilot, lambda: said in app.screen_text())
        assert "U use measured" not in app.screen_text()
