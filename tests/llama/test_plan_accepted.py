"""A plan's flags on the real llama-server: taken as they are, blocks and weights where the plan has them."""

from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Device, Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.plan import make_plan
from kvtui.placement.request import Pin, Request
from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.dry_run import dry_run

MIB = 2**20


def two_devices(endpoints: tuple[str, ...], free_mib: tuple[int, int]) -> Machine:
    devices = tuple(
        Device(f"RPC{i}", mib * MIB, mib * MIB, bandwidth=rate, endpoint=endpoint)
        for i, (endpoint, mib, rate) in enumerate(zip(endpoints, free_mib, (900e9, 300e9), strict=True))
    )
    return Machine(devices, host_memory())


@pytest.mark.parametrize(
    ("free_mib", "pins"),
    [
        ((2048, 2048), ()),  # everything on the faster device
        ((190, 170), ()),  # blocks on both, some of the FFN in RAM
        ((400, 400), (Pin(r"^blk\.3\.ffn_(up|down)\.", "CPU"), Pin(r"^blk\.5\.ffn_", "RPC1"))),
    ],
)
def test_blocks_and_weights_are_where_the_plan_says(
    gemma: Path,
    binary: ServerBinary,
    rpc_endpoints: tuple[str, ...],
    tmp_path: Path,
    free_mib: tuple[int, int],
    pins: tuple[Pin, ...],
) -> None:
    machine = two_devices(rpc_endpoints, free_mib)
    context = ContextParams(n_ctx=2048, n_parallel=1, type_k="q8_0", type_v="q8_0")
    request = Request(load_model(gemma), context, machine, margins=(8 * MIB,), pins=pins)
    plan = make_plan(request)
    assert plan.fits
    adapted, notes = adapt_argv(plan.argv, binary)
    assert not [n for n in notes if "-lm" not in n and "--load-mode" not in n]
    answer = dry_run(binary, gemma, plan.argv, cache=tmp_path)
    assert answer.refused is None
    assert answer.impossible is None
    names = ["CPU" if d == CPU else machine.devices[d].name for d in plan.assignment.layer_devices]
    assert list(answer.layer_devices) == names
    for i, (device, use, capacity) in enumerate(zip(machine.devices, plan.estimate.devices, request.capacities, strict=True)):
        if not plan.assignment.opens(i):  # nothing is on it: llama-server does not know of it either
            assert device.name not in answer.devices
            continue
        seen = answer.devices[device.name]
        assert seen.model <= use.weights_bytes < seen.model + 2 * MIB
        assert seen.context <= use.cache_bytes + use.recurrent_bytes < seen.context + 2 * MIB
        assert seen.total <= capacity
    assert adapted
