"""--rpc against real ggml-rpc-servers: found, ordered, planned, emitted, and taken by the real llama-server."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from waiting import wait_until

from kvtui.base.clock import when
from kvtui.base.findings import UsageError
from kvtui.cli.commands import cli
from kvtui.flags.context import ContextParams
from kvtui.hardware.buffers import buffer_names
from kvtui.hardware.device import CPU, Device, HostMemory, Machine
from kvtui.memory.remembered import REMEMBERED
from kvtui.model.load import load_model
from kvtui.placement.plan import make_plan
from kvtui.placement.request import Pin, Request
from kvtui.server.binary.inspect import ServerBinary, inspect
from kvtui.server.http.client import ServerClient
from kvtui.server.measure.dry_run import dry_run
from kvtui.server.process.ports import free_port
from kvtui.server.process.preflight import preflight
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.checking import CHECKED
from kvtui.tasks.launch import needs_of, record_plan
from kvtui.tasks.remote_devices import rpc_devices

MIB = 2**20
Start = Callable[[], contextlib.AbstractContextManager[str]]


def test_devices_are_found_in_order_and_numbered_on_their_servers(
    server_path: Path, rpc_endpoints: tuple[str, ...], two_on_one: str
) -> None:
    found = rpc_devices(f"{rpc_endpoints[0]},{two_on_one}", str(server_path))
    assert [d.name for d in found] == ["RPC0", "RPC1", "RPC2"]
    assert [d.endpoint for d in found] == [rpc_endpoints[0], two_on_one, two_on_one]
    assert list(buffer_names(found)) == [f"RPC0[{rpc_endpoints[0]}]", f"RPC0[{two_on_one}]", f"RPC1[{two_on_one}]"]
    assert all(d.total_bytes >= d.free_bytes > 2**30 for d in found)


@pytest.mark.usefixtures("computes")
def test_those_that_a_server_of_ours_holds_are_as_they_were_at_its_launch(
    server_path: Path,
    gemma: Path,
    rpc_endpoints: tuple[str, ...],
    start_rpc: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with start_rpc() as endpoint:
        before = rpc_devices(endpoint, str(server_path))
        machine = Machine(tuple(replace(d, bandwidth=9e11) for d in before), HostMemory(8 * 2**30, 8 * 2**30, bandwidth=5e10))
        plan = make_plan(Request(load_model(gemma), ContextParams(n_ctx=512, n_parallel=1), machine))
        record = record_plan(plan, gemma)
        binary = inspect(server_path, tmp_path / "cache")
        server = ServerProcess.launch(binary, gemma, plan.argv, free_port(0).port, plan=record)
        try:
            client = ServerClient(server.record.url)
            wait_until(lambda: client.health().state == "ready" or server.ended() is not None, "it serves or ends")
            assert server.ended() is None
            both = rpc_devices(f"{endpoint},{rpc_endpoints[0]}", str(server_path))
            assert [(d.name, d.endpoint, d.seen_at) for d in both] == [
                ("RPC0", endpoint, server.record.launched_at),
                ("RPC1", rpc_endpoints[0], None),
            ]
            assert (both[0].free_bytes, both[0].total_bytes) == (before[0].free_bytes, before[0].total_bytes)
            args = ["plan", gemma, "--rpc", endpoint, "--llama-server", server_path, "--ram", "16GiB", "-c", "512", "--json"]
            done = CliRunner().invoke(cli, [*map(str, args)], standalone_mode=False)
            (note,) = [f for f in json.loads(done.stdout)["findings"] if f["code"] == REMEMBERED]
            (unasked,) = [f for f in json.loads(done.stdout)["findings"] if f["code"] == CHECKED]
            pid = server.record.pid
            said = f"the ggml-rpc-server at {endpoint} answers one client at a time, and llama-server (pid {pid}) has it"
            assert unasked["message"] == f"not checked by a dry run: {said}"
            assert preflight(binary, needs_of(plan), free_port(0).port, "127.0.0.1").missing == (
                f"RPC0 (llama-server, pid {pid}, has it)",
            )
            assert note["message"].startswith(f"the memory of RPC0 is told as it was at {when(server.record.launched_at)}, when")
        finally:
            assert server.stop().gone
        assert rpc_devices(endpoint, str(server_path))[0].seen_at is None


def test_a_plan_asks_them_puts_them_first_and_emits_them(server_path: Path, gemma: Path, rpc_endpoints: tuple[str, ...]) -> None:
    args = ["plan", gemma, "--rpc", ",".join(rpc_endpoints), "--llama-server", server_path]
    args += ["--device", "CUDA0=1GiB", "--ram", "16GiB", "-c", "2048", "-np", "1", "--json"]
    done = CliRunner().invoke(cli, [*map(str, args)], standalone_mode=False)
    plan: dict[str, Any] = json.loads(done.stdout)
    assert [d["name"] for d in plan["devices"]] == ["RPC0", "RPC1", "CUDA0"]
    assert plan["devices"][0]["used_bytes"] > 0
    assert plan["argv"][plan["argv"].index("--rpc") + 1] == ",".join(rpc_endpoints)


def test_weights_land_on_the_right_one_of_two_devices_of_a_server(
    binary: ServerBinary, gemma: Path, two_on_one: str, tmp_path: Path
) -> None:
    devices = tuple(
        Device(f"RPC{i}", 400 * MIB, 400 * MIB, bandwidth=rate, endpoint=two_on_one) for i, rate in enumerate((900e9, 300e9))
    )
    pins = (Pin(r"^blk\.[0-3]\.ffn_", "RPC1"),)
    machine = Machine(devices, HostMemory(8 * 2**30, 8 * 2**30))
    context = ContextParams(n_ctx=2048, n_parallel=1)
    plan = make_plan(Request(load_model(gemma), context, machine, margins=(8 * MIB,), pins=pins))
    assert plan.fits
    assert f"=RPC1[{two_on_one}]" in plan.argv[plan.argv.index("-ot") + 1]
    answer = dry_run(binary, gemma, plan.argv, cache=tmp_path)
    assert (answer.refused, answer.impossible) == (None, None)
    assert list(answer.layer_devices) == ["CPU" if d == CPU else devices[d].name for d in plan.assignment.layer_devices]
    for device, use in zip(devices, plan.estimate.devices, strict=True):
        seen = answer.devices[device.name]
        assert seen.model <= use.weights_bytes < seen.model + 2 * MIB
    assert plan.estimate.devices[1].weights_bytes > 0


def test_an_excluded_device_is_not_opened(
    binary: ServerBinary, gemma: Path, rpc_endpoints: tuple[str, ...], tmp_path: Path
) -> None:
    devices = tuple(
        Device(f"RPC{i}", 900 * MIB, 900 * MIB, bandwidth=9e11, endpoint=endpoint) for i, endpoint in enumerate(rpc_endpoints)
    )
    machine = Machine(devices, HostMemory(8 * 2**30, 8 * 2**30))
    context = ContextParams(n_ctx=2048, n_parallel=1)
    plan = make_plan(Request(load_model(gemma), context, machine, margins=(8 * MIB,), excluded=("RPC0",)))
    answer = dry_run(binary, gemma, plan.argv, cache=tmp_path)
    assert (answer.refused, answer.impossible) == (None, None)
    assert set(answer.layer_devices) == {"RPC1"}
    assert "RPC0" not in answer.devices


def test_what_cannot_be_asked_is_refused(server_path: Path, rpc_endpoints: tuple[str, ...]) -> None:
    nobody = f"127.0.0.1:{free_port(0).port}"
    with pytest.raises(UsageError, match=f"answers at {nobody}$"):
        rpc_devices(f"{rpc_endpoints[0]},{nobody}", str(server_path))
    with pytest.raises(UsageError, match="write each server as HOST:PORT"):
        rpc_devices("10.0.0.2", str(server_path))
    with pytest.raises(UsageError, match="is given twice"):
        rpc_devices(f"{rpc_endpoints[0]},{rpc_endpoints[0]}", str(server_path))
    with pytest.raises(UsageError, match="only a llama-server can ask what is there"):
        rpc_devices(rpc_endpoints[0], "/no/server")
