"""Vulkan's largest buffer: a weight beyond it is kept in RAM and said so, a cache beyond it would end the load."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.context import ContextParams
from kvtui.flags.overrides import Override
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import CPU, Machine
from kvtui.hardware.simulated import parse_device, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.described import Described, describe_flags
from kvtui.memory.one_buffer import ONE_BUFFER
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Pin, Request
from kvtui.tasks.demo import demo_request

MIB = 2**20


def request(headers: Mapping[str, Header], largest: str, **context: object) -> Request:
    machine = Machine((parse_device(f"Vulkan0=96GiB@250GB/s,maxbuf={largest}"),), parse_ram("64GiB@90GB/s"))
    params = replace(ContextParams(n_parallel=1, n_ctx=131072), **context)  # type: ignore[arg-type]
    return Request(model_from_header(headers["llama-3.1-8b-q4_k_m"], "llama"), params, machine)


def said(found: Plan | Described) -> list[tuple[str, str]]:
    return [(f.severity, f.message) for f in found.findings if f.code == ONE_BUFFER]


def test_without_a_limit_nothing_is_said(headers: Mapping[str, Header]) -> None:
    plan = quick_plan(request(headers, "4GiB"))
    assert plan.fits
    assert said(plan) == []


def test_a_cache_beyond_it_is_refused_and_the_cells_that_are_named_stay_below_it(headers: Mapping[str, Header]) -> None:
    asked = request(headers, "255MiB")
    plan = quick_plan(asked)
    assert not plan.fits
    message = next(text for severity, text in said(plan) if severity == "error")
    assert "K of block 0 is one tensor of 256 MiB, larger than Vulkan0's largest buffer (255 MiB)" in message
    cells = re.search(r"up to ([\d,]+) cells", message)
    assert cells is not None
    most = int(cells[1].replace(",", ""))
    smaller = quick_plan(replace(asked, context=replace(asked.context, n_ctx=most)))
    assert not [text for severity, text in said(smaller) if severity == "error"]
    in_ram = replace(asked, context=replace(asked.context, offload_kqv=False))
    assert not [text for severity, text in said(quick_plan(in_ram)) if severity == "error"]


def test_a_weight_beyond_it_stays_in_ram_in_a_plan_and_in_an_estimate() -> None:
    demo = demo_request()
    tensors = demo.model.tensors
    large = {t.index for t in tensors if t.loaded and t.n_bytes > 2048 * MIB}
    assert large
    device = parse_device("Vulkan0=96GiB@900GB/s,maxbuf=2GiB")
    asked = replace(demo, machine=Machine((device,), parse_ram("700GiB@200GB/s")))
    plan = quick_plan(asked)
    assert {i for i in large if plan.assignment.tensor_devices[i] != CPU} == set()
    (warning,) = said(plan)
    assert warning[0] == "warning"
    assert f"{len(large)} tensors" in warning[1]
    flags = ServerFlags(context=asked.context)
    described = describe_flags(asked.model, asked.machine, asked.margin_bytes, asked.build, flags)
    assert {i for i in large if described.assignment.tensor_devices[i] != CPU} == set()


def test_a_weight_that_is_forced_there_is_refused() -> None:
    demo = demo_request()
    machine = Machine((parse_device("Vulkan0=900GiB@900GB/s,maxbuf=2GiB"),), parse_ram("700GiB@200GB/s"))
    asked = replace(demo, machine=machine, pins=(Pin("exps", "Vulkan0"),))
    assert [severity for severity, _ in said(quick_plan(asked))] == ["error"]
    flags = ServerFlags(context=asked.context, overrides=(Override("exps", "Vulkan0"),))
    described = describe_flags(asked.model, machine, asked.margin_bytes, asked.build, flags)
    assert [severity for severity, _ in said(described)] == ["error"]
    assert not described.fits


@pytest.mark.parametrize("text", ["0", "much", "-2GiB"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Vulkan0"):
        parse_device(f"Vulkan0=8GiB,maxbuf={text}")


@pytest.mark.parametrize(("ubatch", "warned"), [(512, True), (64, False)])
def test_a_tensor_of_the_graph_beyond_it_is_a_warning(headers: Mapping[str, Header], ubatch: int, warned: bool) -> None:
    asked = request(headers, "1100MiB", flash_attn="off", n_ubatch=ubatch, n_batch=ubatch)
    plan = quick_plan(asked)
    words = [text for severity, text in said(plan) if severity == "warning"]
    assert bool(words) is warned
    assert plan.fits
    if warned:
        n_bytes = 131072 * 512 * 32 * 4  # cells, tokens, heads, f32
        assert f"one tensor of {n_bytes // MIB:,} MiB, larger than Vulkan0's largest buffer (1,100 MiB)" in words[0]
        described = describe_flags(asked.model, asked.machine, (0,), asked.build, ServerFlags(context=plan.request.context))
        assert [text for severity, text in said(described) if severity == "warning"] == words
