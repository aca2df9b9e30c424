"""The plan on the screen is held to llama-server's dry run without a key: told in a line, once, and called off by a change."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import HostMemory, Machine
from kvtui.hardware.simulated import parse_devices
from kvtui.model.load import load_model
from kvtui.placement.plan import make_plan
from kvtui.placement.request import Request
from kvtui.server.binary.inspect import inspect
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.launch import record_plan
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import MIB, READY, Stub, free_address, stub_server
from tests.tui.waiting import until

TOTAL, FREE = 12288, 12000  # MiB of the card
USED = "0.00.001.000 I llama_model_load_from_file_impl: using device CUDA0 (RTX 3090) (0000:01:00.0) - {free} MiB free"
TABLE = (
    "0.00.002.000 I common_memory_breakdown_print: | memory breakdown [MiB] | total free self model context compute |",
    "0.00.002.001 I common_memory_breakdown_print: |   - CUDA0 (RTX 3090)   | {total} = {free} + ({all} = {model} + {context}"
    " + {compute}) + 0 |",
    "0.00.002.002 I common_memory_breakdown_print: |   - Host               |  300 =   200 +      50 +      50                |",
    "0.00.002.003 I common_params_fit_impl: done",
)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def request_of(tmp_path: Path, headers: HeaderArchive) -> Request:
    machine = Machine(
        tuple(replace(d, simulated=False) for d in parse_devices((f"CUDA0={FREE}MiB/{TOTAL}MiB@360GB/s",))),
        HostMemory(2**36, 2**36),
    )
    return Request(load_model(headers.write("gemma3-dense", tmp_path)), ContextParams(n_ctx=4096, n_parallel=1), machine)


def app_with(tmp_path: Path, request: Request, *, simulated: bool = False) -> tuple[KvtuiApp, Stub]:
    """An app that finds a llama-server which knows --fit."""
    stub = stub_server(tmp_path / "llama-b11434")
    program = stub.path.read_text()
    stub.path.write_text(program.replace("--metrics", "--fit [on|off]  fit\\n--metrics", 1))
    stub.have([("CUDA0", TOTAL, FREE)])
    path = tmp_path / "gemma3-dense.gguf"
    return KvtuiApp(Session(path, request, request.machine, simulated, server=str(stub.path), address=free_address())), stub


def answer(request: Request, more_mib: int) -> list[str]:
    """A dry run that has so many MiB more of compute buffers than the plan."""
    use = make_plan(request).estimate.devices[0]
    model, context, compute = (n // MIB for n in (use.weights_bytes, use.context_bytes, use.compute_bytes))
    known = {"total": TOTAL, "free": FREE, "model": model, "context": context, "compute": compute + more_mib}
    return [text.format(**known, all=model + context + compute + more_mib) for text in (USED, *TABLE)]


@pytest.mark.parametrize(
    ("more_mib", "said"),
    [(0, "dry run agrees within "), (310, "dry run: CUDA0 takes 3"), (20000, ", over by ")],
)
async def test_what_it_says_stands_with_the_plan(tmp_path: Path, headers: HeaderArchive, more_mib: int, said: str) -> None:
    request = request_of(tmp_path, headers)
    app, stub = app_with(tmp_path, request)
    stub.say(answer(request, more_mib))
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: said in app.screen_text())
        assert app.state.plan is not None


async def test_one_question_for_one_plan(tmp_path: Path, headers: HeaderArchive) -> None:
    request = request_of(tmp_path, headers)
    app, stub = app_with(tmp_path, request)
    stub.say(answer(request, 0))
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: "dry run agrees within " in app.screen_text())
        stub.say(answer(request, 5000))
        await pilot.press("k")
        await until(pilot, lambda: "dry run: CUDA0 takes " in app.screen_text())
        stub.say(["nothing that is an answer"])
        await pilot.press("u")
        await until(pilot, lambda: "dry run agrees within " in app.screen_text())
        assert len(app.state.dry_runs.known) == 2


async def test_a_change_calls_it_off(tmp_path: Path, headers: HeaderArchive) -> None:
    request = request_of(tmp_path, headers)
    app, stub = app_with(tmp_path, request)
    stub.say([READY.strip()])  # and then says nothing for minutes
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: app.asks_server)
        stub.say(answer(request, 0))
        await pilot.press("k")
        await until(pilot, lambda: "dry run" in app.screen_text())
        assert all(found.impossible is None for _, found in app.state.dry_runs.known)


async def test_a_simulated_machine_is_not_asked_about(tmp_path: Path, headers: HeaderArchive) -> None:
    request = request_of(tmp_path, headers)
    app, stub = app_with(tmp_path, request, simulated=True)
    stub.say(answer(request, 0))
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and app.state.working == "" and bool(app.state.binaries))
        assert app.question() is None


class Watched(KvtuiApp):
    """Tells for which state of the desk it thought of asking last."""

    thought_of = -1

    def _ask(self, generation: int) -> None:
        super()._ask(generation)
        self.thought_of = generation


async def test_what_was_changed_while_a_server_ran_is_asked_about_once_it_ends(tmp_path: Path, headers: HeaderArchive) -> None:
    request = request_of(tmp_path, headers)
    plain, stub = app_with(tmp_path, request)
    app = Watched(plain.session)
    plan = make_plan(request)
    process = ServerProcess.launch(
        inspect(stub.path), app.session.path or tmp_path, plan.argv, 18397, plan=record_plan(plan, tmp_path)
    )
    process.leave()
    stub.say(answer(request, 0))
    try:
        async with app.run_test(size=(130, 40)) as pilot:
            await until(pilot, lambda: app.state.server.ready and app.state.plan is not None and app.state.working == "")
            await pilot.press("k")
            await until(pilot, lambda: app.state.plan is not None and app.state.plan.request.context.type_k != "f16")
            await until(pilot, lambda: app.state.working == "" and app.thought_of == app.state.generation)
            assert app.question() is None
            assert not app.state.dry_runs.known
            await pilot.press("x")
            await until(pilot, lambda: not app.state.server.running)
            await until(pilot, lambda: "dry run: " in app.screen_text() or "dry run agrees" in app.screen_text())
    finally:
        with suppress(PermissionError):
            process.stop()
