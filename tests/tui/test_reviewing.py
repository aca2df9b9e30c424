"""A pasted command looked over by a key: its page, and what Enter takes of it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from textual.events import Paste

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.server.binary.inspect import inspect
from kvtui.server.process.ports import free_port
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.demo import demo_request
from kvtui.tasks.launch import record_plan
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import free_address, stub_server
from tests.tui.waiting import until

PASTED = """\
CUDA_DEVICE_ORDER=PCI_BUS_ID ./llama-server \\
    -m kimi.gguf \\
    -c 16384 -np 2 -ctk q8_0 -ctv q8_0 -fa on \\
    -ot "blk\\.[1-4]\\.ffn_.*_exps=CPU" -ot nothing_like_it=CPU
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KvtuiApp:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def flat(app: KvtuiApp) -> str:
    return " ".join(app.screen_text().split())


def on_page(app: KvtuiApp) -> str:
    """All of the page's text, whatever is scrolled."""
    page = app.state.page
    return "" if page is None else " ".join(" ".join(text for text, _ in content) for content in page.lines)


async def test_a_pasted_command_is_looked_over_and_taken(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("I")
        assert "paste a llama-server command" in flat(app)
        app.post_message(Paste(PASTED))
        await until(pilot, lambda: "nothing_like_it" in flat(app))
        assert "-m kimi.gguf" not in flat(app)  # of a long command the end is shown
        await pilot.press("enter")
        await until(pilot, lambda: "our plan less the command" in on_page(app))
        page = " ".join(on_page(app).split())
        assert "16,384 tokens, q8_0/q8_0, 2 slots" in page
        assert "-ot blk\\.[1-4]\\.ffn_.*_exps=CPU: 12 tensors" in page
        assert "-ot nothing_like_it=CPU: matches no tensor of this model" in page
        assert "kimi.gguf is not here: this is the command with" in page
        assert "Enter takes its context" in flat(app)
        before = app.state.request
        await pilot.press("enter")
        await until(pilot, lambda: app.state.plan is not None and app.state.request is not before)
        context = app.state.request.context
        assert (context.n_ctx, context.slots, context.type_k, context.type_v) == (16384, 2, "q8_0", "q8_0")
        assert app.state.page is None
        assert "as the command asks: q8_0, 16,384" in flat(app)
        await pilot.press("u")
        await until(pilot, lambda: app.state.request == before)


@pytest.mark.parametrize(
    ("typed", "message"),
    [("vllm serve x", "vllm: a command of llama-server"), ("llama-server -ctk q9", "-ctk q9: no such cache type")],
)
async def test_what_is_no_command_is_told_on_its_page(app: KvtuiApp, typed: str, message: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("I")
        app.post_message(Paste(typed))
        await until(pilot, lambda: typed in flat(app))
        await pilot.press("enter")
        await until(pilot, lambda: message in flat(app))
        assert "Enter takes its context" not in flat(app)
        await pilot.press("enter")
        assert "there is nothing to take on this page" in flat(app)


@pytest.fixture
def left_running(headers: HeaderArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KvtuiApp, int]]:
    """An app, and the pid of the server that one before it has left."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)
    stub, model = stub_server(tmp_path / "bin"), headers.write("gemma3-dense", tmp_path)
    machine = Machine((Device("CUDA0", 2**34, 2**34, bandwidth=9e11),), HostMemory(2**36, 2**36, bandwidth=5e10))
    request = Request(load_model(model), ContextParams(n_ctx=512, n_parallel=1), machine)
    plan = quick_plan(request)
    argv, port = plan.argv, free_port(0).port
    process = ServerProcess.launch(inspect(stub.path), model, argv, port, plan=record_plan(plan, model))
    process.leave()
    session = Session(
        path=model, request=request, machine=machine, simulated=False, unicode=True, server=str(stub.path), address=free_address()
    )
    yield KvtuiApp(session), process.record.pid
    with suppress(PermissionError):
        process.stop()


async def test_the_running_servers_own_command_stands_there(left_running: tuple[KvtuiApp, int]) -> None:
    app, pid = left_running
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.server.running and app.state.plan is not None)
        await pilot.press("I")
        assert "type over it" in flat(app)
        await pilot.press("enter")
        await until(pilot, lambda: "our plan less the command" in on_page(app))
        page = " ".join(on_page(app).split())
        assert f"the command (pid {pid})" in page
        assert page.endswith("our plan less the command the same")


async def test_a_paste_ends_no_prompt_of_one_line(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("c")
        app.post_message(Paste("81\n92\n"))
        await until(pilot, lambda: "8192_" in flat(app))
        app.post_message(Paste("9"))
        await pilot.press("escape")
        assert app.state.asking is None
