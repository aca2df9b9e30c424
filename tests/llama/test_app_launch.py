"""The whole path on real parts: open a model, change both types, launch, /health, one completion, stop."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from waiting import wait_until

from kvtui.base.sizes import mib
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.http.client import ServerClient, ServerError
from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port
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


@pytest.mark.usefixtures("computes")
@pytest.mark.parametrize("size", [(80, 24), (130, 40)])
async def test_a_server_at_work_is_watched(gemma: Path, server_path: Path, size: tuple[int, int]) -> None:
    asked = session(gemma, server_path)
    asked = replace(asked, request=replace(asked.request, context=ContextParams(n_ctx=4096, n_parallel=2)))
    app = KvtuiApp(asked)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("L")
        await until(pilot, lambda: app.state.server.ready)
        process = app.server.process
        assert process is not None
        try:
            client = ServerClient(app.state.server.url)
            prompt = "The sea is wide and " * 60
            work = asyncio.gather(*(asyncio.to_thread(client.complete, prompt, tokens=60) for _ in range(2)))
            await until(pilot, lambda: "2/2 busy" in app.screen_text())
            await until(pilot, lambda: bool(re.search(r"[1-9][\d.]* tok/s", app.screen_text())))
            await work
            await asyncio.to_thread(client.continued, client.tokens(prompt, special=True), 2, 60.0)  # from the cache
            await until(pilot, lambda: "0/2 busy" in app.screen_text())
            await until(pilot, lambda: bool(re.search(r"cached [1-9]\d?%", app.screen_text())))
            await until(pilot, lambda: bool(re.search(r"checkpoints [1-9]", app.screen_text())))
            assert "drafts kept" not in app.screen_text()
            if size[0] > 100:
                host = (process.record.plan or {})["host"]
                said = mib(host["prompt_cache_bytes"] + host["checkpoint_bytes"])
                await until(pilot, lambda: bool(re.search(rf"RAM grew [\d,]+ MiB of {said}", app.screen_text())))
        finally:
            process.stop()


@pytest.mark.usefixtures("computes")
async def test_a_reply_moves_the_speed_of_its_own_plan(gemma: Path, server_path: Path) -> None:
    asked = session(gemma, server_path)
    assert asked.request is not None
    machine = replace(asked.request.machine, ram=replace(asked.request.machine.ram, bandwidth=5e9))
    asked = replace(asked, request=replace(asked.request, machine=machine), machine=machine)
    app = KvtuiApp(asked)
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("L")
        await until(pilot, lambda: app.state.server.ready and app.server.idle is not None)
        process = app.server.process
        assert process is not None
        try:
            client = ServerClient(app.state.server.url)
            answer = await asyncio.to_thread(client.timed, client.tokens("The sea is wide and " * 120), 80, 120.0)
            await until(pilot, lambda: " when full, as measured here, " in app.screen_text())
            plan = app.state.plan
            assert plan is not None
            assert plan.speed is not None
            assert plan.speed.low < answer.predicted_rate < plan.speed.high
            assert plan.speed.prompt_tokens_per_second == pytest.approx(answer.prompt_rate, rel=0.1)
            await pilot.press("k")  # another plan: what was said of it before
            await until(pilot, lambda: app.state.working == "" and "as measured here" not in app.screen_text())
        finally:
            process.stop()


@pytest.mark.usefixtures("computes")
async def test_an_rpc_server_that_goes_away_is_named_on_the_screen(
    gemma: Path, server_path: Path, start_rpc: Callable[[], contextlib.AbstractContextManager[str]]
) -> None:
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(start_rpc())
        device = Device("RPC0", 4 * 2**30, 4 * 2**30, bandwidth=9e11, endpoint=endpoint)
        asked = session(gemma, server_path)
        machine = Machine((device,), host_memory())
        context = ContextParams(n_ctx=512, n_parallel=1)
        asked = replace(asked, machine=machine, request=replace(asked.request, machine=machine, context=context))
        app = KvtuiApp(asked)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.state.plan is not None and bool(app.state.binaries) and not app.state.working)
            await pilot.press("L")
            await until(pilot, lambda: app.state.server.ready or app.state.asking is not None)
            if app.state.asking is not None:  # the memory of whoever runs this
                await pilot.press("enter")
            await until(pilot, lambda: app.state.server.ready)
            process = app.server.process
            assert process is not None
            try:
                stack.close()
                client = ServerClient(app.state.server.url)
                with contextlib.suppress(ServerError):
                    await asyncio.to_thread(client.complete, "The sea", 4)
                await until(pilot, lambda: f"the RPC server at {endpoint} went away" in app.screen_text())
            finally:
                process.stop()
