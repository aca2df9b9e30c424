"""Devices that only a llama-server sees: programs that list some, asked by `devices`, by a plan and by the app."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kvtui.cli import cli
from kvtui.hardware.device import Machine
from kvtui.server.binary.chosen import remember_choice
from kvtui.tasks.demo import demo_request
from kvtui.tasks.inventory import inventory_of
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.tui.waiting import until

GIB, MIB = 2**30, 2**20
HELP = "-ctk,  --cache-type-k TYPE    K\n-ngl,  --n-gpu-layers N       layers\n--port PORT                   port\n"
LISTED = {
    "Vulkan": "Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 23800 MiB free)",
    "MTL": "MTL0: Apple M4 Max (98304 MiB, 98304 MiB free)",
    "SYCL": "SYCL0: Intel(R) Arc(TM) B580 Graphics (12216 MiB, 11800 MiB free)",
    "OpenCL": "GPUOpenCL: QUALCOMM Adreno(TM) 750 (8192 MiB, 8000 MiB free)",
}


@pytest.fixture(autouse=True)
def nothing_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("LLAMA_SERVER", raising=False)


def listing(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"if '--list-devices' in sys.argv: print('Available devices:\\n  {line}')\n"
        f"else: print({HELP!r} if '--help' in sys.argv else 'version: 11434 (abc1234)')\n"
    )
    path.chmod(0o755)
    return path


def answer(*args: str | Path) -> Any:
    done = CliRunner().invoke(cli, [*map(str, args)], standalone_mode=False)
    assert done.stdout, done.exception
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("backend", "name", "total_mib", "bandwidth", "shared"),
    [
        ("Vulkan", "Vulkan0", 24560, 960e9, False),
        ("MTL", "MTL0", 98304, None, False),  # Metal tells its share of a pool, which more than one Mac has
        ("SYCL", "SYCL0", 12216, 456e9, False),
        ("OpenCL", "GPUOpenCL", 8192, None, False),
    ],
)
def test_devices_asks_the_server_that_is_named(
    tmp_path: Path, backend: str, name: str, total_mib: int, bandwidth: float | None, shared: bool
) -> None:
    found = answer("devices", "--llama-server", listing(tmp_path / "llama-server", LISTED[backend]), "--json")
    (device,) = found["devices"]
    assert (device["name"], device["total_bytes"], device["shared"]) == (name, total_mib * MIB, shared)
    assert device["bandwidth_bytes_per_second"] == bandwidth
    assert found["problem"] is None
    assert not device["simulated"]


def test_the_one_that_was_chosen_is_asked_without_being_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inventory_of().machine.devices == ()
    remember_choice(listing(tmp_path / "chosen" / "llama-server", LISTED["Vulkan"]))
    assert [d.name for d in inventory_of().machine.devices] == ["Vulkan0"]
    monkeypatch.setenv("LLAMA_SERVER", str(listing(tmp_path / "named" / "llama-server", LISTED["SYCL"])))
    assert [d.name for d in inventory_of().machine.devices] == ["SYCL0"]
    monkeypatch.setenv("LLAMA_SERVER", str(tmp_path / "gone"))
    assert inventory_of().machine.devices == ()


def test_a_plan_is_for_the_devices_it_lists(tmp_path: Path, headers: Any) -> None:
    server = listing(tmp_path / "llama-server", LISTED["Vulkan"])
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    plan = answer("plan", model, "--llama-server", server, "--ram", "16GiB", "-c", "4096", "-np", "1", "--json")
    assert [(d["name"], d["free_bytes"]) for d in plan["devices"]] == [("Vulkan0", 23800 * MIB)]
    assert plan["devices"][0]["used_bytes"] > 4 * GIB


async def test_a_server_chosen_in_the_app_brings_the_devices_it_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing(tmp_path / "bin" / "llama-server", LISTED["Vulkan"])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    request = demo_request()
    machine = Machine((), request.machine.ram)
    app = KvtuiApp(Session(path=None, request=request, machine=machine, simulated=False, demo=True, unicode=True))
    app.state = app.state.taking(type(request)(request.model, request.context, machine), "")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.state.binaries))
        await pilot.press("B")
        await until(pilot, lambda: app.state.asking is not None)
        await pilot.press("enter")
        await until(pilot, lambda: app.state.plan is not None and bool(app.state.request.machine.devices))
        assert "Vulkan0" in app.screen_text()
        assert "simulated" not in app.screen_text()
