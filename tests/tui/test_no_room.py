"""A load that runs out of memory: what was asked, what lacked, and the plan that leaves that room by one key."""

from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import MIB, free_address, stub_server
from tests.tui.waiting import until

CARD = Device("CUDA0", 12000 * MIB, 12288 * MIB, bandwidth=9e11, link=1.3e10, description="RTX 3090")
MACHINE = Machine((CARD,), HostMemory(64 * 2**30, 64 * 2**30, bandwidth=5e10))
LOG = (
    "0.00.001.001 I llama_prepare_model_devices: using device CUDA0 (RTX 3090) (0000:01:00.0) - 12000 MiB free",
    "0.00.001.002 I load_tensors:        CUDA0 model buffer size =  9500.00 MiB",
    "0.00.001.003 I llama_kv_cache:      CUDA0 KV buffer size =   500.00 MiB",
    "0.00.001.004 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 3500.00 MiB on device 0: cudaMalloc failed: "
    "out of memory",
    "0.00.001.005 E ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 3670016000",
    "0.00.001.006 E srv  load_model: failed to load model",
)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("LLAMA_API_KEY", raising=False)


@pytest.mark.parametrize("keys", [["O"], ["escape", "escape", "O"]])
async def test_the_next_plan_is_one_key_and_says_what_moved(tmp_path: Path, headers: HeaderArchive, keys: list[str]) -> None:
    model = headers.write("gemma-3-27b-q4_k_m", tmp_path)
    stub = stub_server(tmp_path / "llama-b11434", code=1)
    stub.have([("CUDA0", 12288, 12000)])
    stub.say(LOG)
    request = Request(load_model(model), ContextParams(n_ctx=16000), MACHINE)
    app = KvtuiApp(
        Session(path=model, request=request, machine=MACHINE, simulated=False, server=str(stub.path), address=free_address())
    )

    def settled() -> bool:
        return app.state.plan is not None and app.state.working == ""

    async with app.run_test(size=(130, 40)) as pilot:
        await until(pilot, lambda: settled() and bool(app.state.binaries))
        ran = app.state.plan
        await pilot.press("L")
        await until(pilot, lambda: app.state.asking is not None)
        said = " ".join(app.screen_text().translate(dict.fromkeys(map(ord, "│╰╯─"), " ")).split())
        assert "CUDA0 ran out of memory: 3,500 MiB were asked for compute, where the plan has " in said
        assert "; 1,500 MiB lacked" in said
        assert "O plans with that room" in said
        for key in keys:
            if key == "O" and len(keys) > 1:
                assert "O more room" in app.screen_text()
            await pilot.press(key)
        await until(pilot, lambda: settled() and app.state.plan != ran)
        assert "CUDA0: 2,560 MiB are left free, 1,024 MiB before; u takes it back" in app.screen_text()
        assert "moved: " in app.screen_text()
        assert "O more room" not in app.screen_text()
        assert ran is not None
        assert app.state.plan is not None
        used = [p.estimate.devices[0].used_bytes for p in (ran, app.state.plan)]
        assert used[1] <= CARD.free_bytes - 2560 * MIB < used[0]
        await pilot.press("u")
        await until(pilot, lambda: settled() and app.state.request == replace(request, **_of_server(app)))


def _of_server(app: KvtuiApp) -> dict[str, object]:
    """What the server that was found made of the request."""
    return {name: getattr(app.state.request, name) for name in ("server", "build", "fa_quants")}
