"""A llama-server that the app found by itself: the port of its own build, and how its stop goes."""

import re
import signal
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.server.process.start import ServerProcess
from kvtui.server.program.marks import LAUNCH_VARIABLE, marked, process_identity
from kvtui.tui.app import KvtuiApp
from kvtui.tui.keys.asking import Countdown
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import MIB, stub_server
from tests.tui.waiting import until

AT_ONCE = ((signal.SIGKILL, 5.0),)
HELP = """\
-ctk,  --cache-type-k TYPE    K
-ngl,  --n-gpu-layers N       layers
--port PORT                   port to listen{}
"""
SERVER = """\
#!{}
import signal, sys, time
if '--help' in sys.argv:
    print({!r})
elif '--version' in sys.argv:
    print('version: {} (abc1234)')
else:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ignores it", flush=True)
    time.sleep(60)
"""

FORKS = (
    SERVER.replace(
        '    print("ignores it"',
        """    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    print(\"ignores it\"""",
    )
    .replace("import signal", "import os, signal")
    .replace("SIG_IGN", "SIG_DFL")
)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def launching(folder: Path, headers: HeaderArchive, patch: pytest.MonkeyPatch, program: str, port: int | None) -> KvtuiApp:
    """An app that finds this program as its llama-server."""
    path = folder / "bin" / "llama-server"
    path.parent.mkdir()
    path.write_text(program)
    path.chmod(0o755)
    patch.setenv("LLAMA_SERVER", str(path))
    model = headers.write("gemma3-dense", folder)
    machine = Machine((), HostMemory(2**36, 2**36, bandwidth=5e10))
    request = Request(load_model(model), ContextParams(n_ctx=512, n_parallel=1), machine)
    return KvtuiApp(Session(path=model, request=request, machine=machine, simulated=False, address=Address(port)))


async def launched(app: KvtuiApp, pilot: Pilot[None]) -> ServerProcess:
    await until(pilot, lambda: app.state.plan is not None and bool(app.state.binaries) and not app.state.working)
    await pilot.press("L")
    await until(pilot, lambda: app.state.asking is not None or app.server.process is not None)
    if app.state.asking is not None:  # the port or the memory of whoever runs this
        await pilot.press("enter")
    await until(pilot, lambda: app.server.process is not None)
    assert app.server.process is not None
    return app.server.process


async def test_the_wait_of_a_stop_is_counted(tmp_path: Path, headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    app = launching(tmp_path, headers, monkeypatch, SERVER.format(sys.executable, HELP.format(""), 11434), None)
    async with app.run_test(size=(120, 36)) as pilot:
        process = await launched(app, pilot)
        try:
            await until(pilot, lambda: "ignores it" in app.screen_text())
            await pilot.press("x")
            counted: set[str] = set()

            def counts() -> bool:
                counted.update(re.findall(r"stopping: SIGINT, (\d+) of 15 s", app.screen_text()))
                return len(counted) >= 2

            await until(pilot, counts)
        finally:
            process.stop(steps=AT_ONCE)


@pytest.mark.parametrize(
    ("version", "said", "asked", "port"),
    [
        (11434, "", None, 8080),
        (11549, "", None, 9931),
        (0, " (default: 9931)", None, 9931),  # a build without a number tells it in its help
        (11549, " (default: 9931)", 18473, 18473),
    ],
)
async def test_it_listens_where_its_build_does(
    version: int, said: str, asked: int | None, port: int, tmp_path: Path, headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = launching(tmp_path, headers, monkeypatch, SERVER.format(sys.executable, HELP.format(said), version), asked)
    async with app.run_test(size=(120, 36)) as pilot:
        process = await launched(app, pilot)
        try:
            command = process.record.command
            given = int(command[command.index("--port") + 1])
            assert given in range(port, port + 20)  # the next free one where somebody has it
            assert f"port {given}" in app.screen_text()
        finally:
            process.stop(steps=AT_ONCE)


@pytest.mark.parametrize("key", ["", "escape"])
async def test_memory_not_given_back_yet_is_waited_for_and_esc_calls_it_off(
    key: str, tmp_path: Path, headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = stub_server(tmp_path / "llama-b11434")
    stub.have([("CUDA0", 24576, 24000)])
    monkeypatch.setenv("LLAMA_SERVER", str(stub.path))
    card = Device("CUDA0", 24000 * MIB, 24576 * MIB, bandwidth=9e11, link=1.3e10, description="RTX 3090")
    machine = Machine((card,), HostMemory(2**36, 2**36))
    model = headers.write("gemma3-dense", tmp_path)
    request = Request(load_model(model), ContextParams(n_ctx=512, n_parallel=1), machine)
    app = KvtuiApp(Session(path=model, request=request, machine=machine, simulated=False))
    async with app.run_test(size=(80, 24)) as pilot:
        process = await launched(app, pilot)
        try:
            await pilot.press("x")
            await until(pilot, lambda: not app.state.server.running and not app.server.stopping)
            stub.have([("CUDA0", 24576, 1)])
            await pilot.press("L")
            counted: set[str] = set()

            def counts() -> bool:
                counted.update(re.findall(r"waiting (\d) s for memory: CUDA0 lacks [\d,]+ MiB", app.screen_text()))
                return len(counted) >= 2

            await until(pilot, counts)
            assert "Esc calls it off" in app.screen_text()
            if key:
                await pilot.press(key)
                await until(pilot, lambda: "the launch is called off" in app.screen_text())
                assert app.state.asking is None
                assert app.server.process is process
            else:
                stub.have([("CUDA0", 24576, 24000)])
                await until(pilot, lambda: not isinstance(app.state.asking, Countdown))
                if app.state.asking is not None:  # the port or the memory of whoever runs this
                    await pilot.press("enter")
                await until(pilot, lambda: app.server.process is not process)
        finally:
            for one in (process, app.server.process):
                if one is not None:
                    one.stop(steps=AT_ONCE)


async def test_a_child_in_a_session_of_its_own_is_named_as_it_is_ended(
    tmp_path: Path, headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = launching(tmp_path, headers, monkeypatch, FORKS.format(sys.executable, HELP.format(""), 11434), None)
    async with app.run_test(size=(100, 24)) as pilot:
        process = await launched(app, pilot)
        try:
            await until(pilot, lambda: "ignores it" in app.screen_text())
            (child,) = (m for m in marked(LAUNCH_VARIABLE, process.record.folder.name) if m.pid != process.record.pid)
            await pilot.press("x")
            await until(pilot, lambda: f"killed what it had left behind: {child}" in app.screen_text())
            assert process_identity(child.pid) is None
        finally:
            process.stop(steps=AT_ONCE)
