"""The page of where the figures come from names what loads beside the model, with the MiB of each of its parts."""

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


async def test_the_mtp_context_and_where_it_is(tmp_path: Path, beside_headers: HeaderArchive) -> None:
    machine = Machine(parse_devices(("CUDA0=23GiB@936GB/s", "CUDA1=23GiB@936GB/s")), parse_ram("64GiB@60GB/s"))
    drafts = ("draft-mtp",)
    model = load_model(beside_headers.write("qwen3.5-27b-mtp-q8_0", tmp_path), drafts)
    request = Request(model, ContextParams(n_ctx=32768, n_parallel=1, spec_types=drafts), machine)
    app = KvtuiApp(Session(None, request, machine, simulated=True))
    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("e")
        row = next(text for text in app.screen_text().splitlines() if "beside: mtp on CUDA" in text)
        assert "K/V 128 MiB, compute" in row
