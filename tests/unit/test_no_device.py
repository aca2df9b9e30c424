"""A machine whose devices may all hold nothing is one without devices: everything is in RAM, and nothing is opened."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.request import Request
from kvtui.placement.solve.highs import Program, run_here
from kvtui.placement.table import pair_rows

DENSE, EXPERTS = "llama-3.1-8b-q4_k_m", "qwen3-30b-a3b-q4_k_m"


def asked(headers: Mapping[str, Header], name: str, *devices: str, n_ctx: int = 512) -> Request:
    machine = Machine(parse_devices(devices), parse_ram("40GiB@60GB/s"))
    return Request(model_from_header(headers[name], name), ContextParams(n_parallel=1, n_ctx=n_ctx), machine)


def check_in_ram(plan: Plan) -> None:
    assert plan.fits
    assert set(plan.homes) == {CPU}
    assert plan.argv[plan.argv.index("-dev") + 1] == "none"
    assert all(use.used_bytes == 0 for use in plan.estimate.devices)


@pytest.mark.parametrize("name", [DENSE, EXPERTS])
@pytest.mark.parametrize("devices", [("CUDA0=1GiB@360GB/s",), ("CUDA0=12GiB@360GB/s", "CUDA1=24GiB@936GB/s")])
@pytest.mark.parametrize("prove", [False, True])
def test_all_devices_excluded(headers: Mapping[str, Header], name: str, devices: tuple[str, ...], prove: bool) -> None:
    request = asked(headers, name, *devices)
    plan = make_plan(replace(request, excluded=tuple(d.name for d in request.machine.devices)), prove=prove)
    check_in_ram(plan)
    assert not plan.optimality.remaining


@pytest.mark.parametrize("name", [DENSE, EXPERTS])
def test_margins_that_take_all(headers: Mapping[str, Header], name: str) -> None:
    request = asked(headers, name, "CUDA0=1GiB@360GB/s", "CUDA1=2GiB@360GB/s", n_ctx=0)
    plan = make_plan(replace(request, margins=tuple(d.free_bytes for d in request.machine.devices)))
    check_in_ram(plan)
    assert plan.request.context.n_ctx == request.model.n_ctx_train


def test_the_table_of_such_a_machine(headers: Mapping[str, Header]) -> None:
    request = asked(headers, DENSE, "CUDA0=12GiB@360GB/s")
    rows = pair_rows(make_plan(replace(request, excluded=("CUDA0",))))
    assert rows
    assert all(row.fits and row.device_bytes == 0 for row in rows)


def test_flags_that_open_no_device(headers: Mapping[str, Header]) -> None:
    request = asked(headers, DENSE, "CUDA0=12GiB@360GB/s", "CUDA1=12GiB@360GB/s")
    found = assign(request.model, parse_flags(["-dev", "none"]), request.machine)
    assert found.opened == ()
    assert set(found.layer_devices) == {CPU}


@pytest.mark.parametrize("flags", [("-dev", "none"), ("-dev", "CUDA1"), ("-sm", "none", "-mg", "1")])
def test_a_tensor_on_a_device_that_is_not_opened_is_refused(headers: Mapping[str, Header], flags: tuple[str, ...]) -> None:
    """llama-server b11434 on CUDA aborts: "pre-allocated tensor (blk.3.attn_q.weight) in a buffer (CUDA0) that cannot run
    the operation"."""
    request = asked(headers, DENSE, "CUDA0=12GiB@360GB/s", "CUDA1=12GiB@360GB/s")
    with pytest.raises(UsageError, match="CUDA0, which is not opened"):
        assign(request.model, parse_flags([*flags, "-ot", r"blk\.3\..*=CUDA0"]), request.machine)
    assign(request.model, parse_flags([*flags, "-ot", r"no_such_tensor=CUDA0"]), request.machine)


def test_a_program_that_nothing_solves_has_no_values() -> None:
    impossible = Program([1.0], [True], [0.0], [1.0], [1.0], [0, 1], [0], [1.0], [0.0])
    assert run_here(impossible, None).values == ()
