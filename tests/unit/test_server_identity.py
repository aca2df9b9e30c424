"""What was measured with one llama-server is found again for that very one, whatever it calls itself."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvtui.base.build import Build
from kvtui.flags.context import ContextParams
from kvtui.flags.known import known_flags
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.plan import make_plan
from kvtui.placement.request import Request
from kvtui.server.binary.inspect import ServerBinary, inspect
from kvtui.server.log.breakdown import LoggedMemory, Parts
from kvtui.server.measure.measured import remember
from kvtui.tasks.history import conditions_json, measured, proof, with_learned
from kvtui.tasks.opening import request_of
from kvtui.tasks.options import Options

MIB = 2**20
HELP = "-ctk,  --cache-type-k TYPE    K\n-ngl,  --n-gpu-layers N       layers\n--port PORT                   port\n"


def binary(folder: Path, version: str = "version: 0.1 (build 0, commit unknown)", helped: str = HELP) -> ServerBinary:
    folder.mkdir(exist_ok=True)
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport sys\nprint({helped!r} if '--help' in sys.argv else {version!r})\n")
    path.chmod(0o755)
    return inspect(path, folder / "cache")


def test_two_that_call_themselves_build_0_are_two(tmp_path: Path) -> None:
    one, other = binary(tmp_path / "a"), binary(tmp_path / "b")
    assert (one.build, other.build) == ("", "")
    assert one.identity != other.identity
    assert one.identity == inspect(one.path, tmp_path / "another-cache").identity
    assert binary(tmp_path / "a", "version: 0.2 (build 0, commit unknown)").identity != one.identity


@pytest.mark.parametrize(
    ("flags", "build"),
    [
        ((), None),
        (("--moe-cache-mib",), Build(11549)),
        (("--lazy-mode", "--log-jsonl"), None),  # not all that came with b11434
        (known_flags(Build(11434)), Build(11434)),
        (known_flags(Build(11549)), Build(11549)),
    ],
)
def test_one_without_a_number_is_taken_for_the_newest_build_whose_flags_it_has(
    tmp_path: Path, flags: Iterable[str], build: Build | None
) -> None:
    names = [name for name in flags if name.startswith("--")]
    shorts = [name for name in flags if not name.startswith("--")]
    said = HELP + "".join(f"{name} N       of a build\n" for name in (*names, *shorts))
    assert binary(tmp_path / "a", helped=said).rules == build


def test_a_flag_that_its_help_has_is_planned_with(tmp_path: Path, headers: Any) -> None:
    server = binary(tmp_path / "a", helped=HELP + "--moe-cache-mib N       cache of experts\n")
    model = load_model(headers.write("qwen3moe-moe", tmp_path))
    options = Options(llama_server=str(server.path), moe_cache_mib=64, device=("CUDA0=2000MiB",), ram="64GiB")
    assert request_of(model, options).build == Build(11549)


@pytest.fixture
def request_here(headers: Any, tmp_path: Path) -> Request:
    device = Device("CUDA0", 8192 * MIB, 8192 * MIB, description="NVIDIA GeForce RTX 3090", simulated=False)
    machine = Machine((device,), HostMemory(2**34, 2**34))
    return Request(load_model(headers.write("llama-dense", tmp_path)), ContextParams(n_ctx=512, n_parallel=1), machine)


def test_a_measurement_with_build_0_is_found_again_for_it_alone(tmp_path: Path, request_here: Request) -> None:
    one, other = binary(tmp_path / "a"), binary(tmp_path / "b")
    asked = replace(request_here, server=one.identity)
    plan = make_plan(asked)
    took = plan.estimate.devices[0]
    assert took.compute_bytes > 0
    parts = Parts(took.weights_bytes, took.cache_bytes, took.compute_bytes + 5 * MIB)
    memory = LoggedMemory({"CUDA0": parts}, {}, {"CUDA0": 8192 * MIB}, {})
    run = measured(one.build, conditions_json(plan), memory, {})
    remember(run, tmp_path)
    assert with_learned(asked, tmp_path).learned.compute_bytes == (5 * MIB,)
    assert proof(plan, tmp_path) is not None
    assert not with_learned(replace(request_here, server=other.identity), tmp_path).learned.said
    assert proof(make_plan(replace(request_here, server=other.identity)), tmp_path) is None
