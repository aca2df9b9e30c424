"""A device is preferred by a key of the memory pane: seen there, planned so, and taken back like any other change."""

from pathlib import Path

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.waiting import until


async def test_one_device_after_the_other_and_back(tmp_path: Path, headers: HeaderArchive) -> None:
    machine = Machine(parse_devices(("CUDA0=12GiB@360GB/s", "CUDA1=16GiB@936GB/s")), parse_ram("64GiB@60GB/s"))
    model = load_model(headers.write("llama-3.1-8b-q4_k_m", tmp_path))
    request = Request(model, ContextParams(n_ctx=4096, n_parallel=1), machine)
    app = KvtuiApp(Session(None, request, machine, simulated=True))

    def row(name: str) -> str:
        return next(text for text in app.screen_text().splitlines() if f" {name} " in text)

    def opened() -> str | None:
        plan = app.state.plan
        assert plan is not None
        return plan.argv[plan.argv.index("-dev") + 1] if "-dev" in plan.argv else None

    async with app.run_test(size=(130, 40)) as pilot:
        await pilot.press("1")
        for name, other in (("CUDA0", "CUDA1"), ("CUDA1", "CUDA0")):
            await pilot.press("N")
            assert "preferred" in row(name)
            assert "preferred" not in row(other)
            await until(pilot, lambda: app.state.plan is not None and app.state.working != "searching")
            assert opened() == name
        await pilot.press("N")
        assert app.state.request.preferred is None
        assert "no device is preferred" in app.screen_text()
        await pilot.press("u")
        assert "preferred" in row("CUDA1")
        await pilot.press("u", "u")
        assert app.state.request.preferred is None
        assert "preferred" not in row("CUDA0")
