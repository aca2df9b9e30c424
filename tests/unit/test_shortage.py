"""What does not fit is told with its cause, and with changes that were tried: each is applied here and must fit."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.findings import DOES_NOT_FIT
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Pin, Request
from kvtui.tasks.demo import demo_request


def request(headers: Mapping[str, Header], name: str, devices: tuple[str, ...], ram: str, **context: object) -> Request:
    machine = Machine(parse_devices(devices), parse_ram(ram))
    params = replace(ContextParams(n_parallel=1), **context)  # type: ignore[arg-type]
    return Request(model_from_header(headers[name], name), params, machine)


def told(asked: Request) -> str:
    plan = quick_plan(asked)
    assert not plan.fits
    (message,) = [f.message for f in plan.findings if f.code == DOES_NOT_FIT]
    return message


def test_the_largest_lack_is_the_cause_and_what_takes_it_is_named() -> None:
    asked = replace(demo_request(), machine=Machine(demo_request().machine.devices, parse_ram("450GiB@200GB/s")))
    message = told(asked)
    lack = re.match(r"does not fit: RAM lacks ([\d,]+) MiB: weights ([\d,]+) MiB and ", message)
    assert lack is not None, message
    short, weights = (int(n.replace(",", "")) for n in lack.groups())
    assert short > 90_000
    assert weights > 450 * 1024
    assert "CUDA" not in message
    assert message.endswith("MiB more memory is needed in all, or weights of fewer bits")


@pytest.mark.parametrize(
    ("name", "context", "change", "remedy"),
    [
        ("gemma-3-27b-q4_k_m", {"n_parallel": 16, "kv_unified": True, "n_ctx": 8192}, "one slot (-np 1)", {"n_parallel": 1}),
        (
            "llama-3.1-8b-q4_k_m",
            {"n_ctx": 131072},
            "a cache of q8_0 (-ctk q8_0 -ctv q8_0)",
            {"type_k": "q8_0", "type_v": "q8_0"},
        ),
    ],
)
def test_a_change_that_is_told_makes_it_fit(
    headers: Mapping[str, Header], name: str, context: dict[str, object], change: str, remedy: dict[str, object]
) -> None:
    size = {"gemma-3-27b-q4_k_m": ("CUDA0=19GiB", "1700MiB"), "llama-3.1-8b-q4_k_m": ("CUDA0=16GiB", "2GiB")}[name]
    asked = request(headers, name, (f"{size[0]}@900GB/s",), size[1], **context)
    message = told(asked)
    assert change in message
    assert quick_plan(replace(asked, context=replace(asked.context, **remedy))).fits  # type: ignore[arg-type]
    tokens = re.search(r"-c (\d+) would make it fit", message)
    if tokens is not None:
        assert quick_plan(replace(asked, context=replace(asked.context, n_ctx=int(tokens[1])))).fits


def test_a_pin_that_stands_in_the_way_is_named_with_its_mib(headers: Mapping[str, Header]) -> None:
    asked = request(headers, "qwen3-30b-a3b-q4_k_m", ("CUDA0=8GiB@900GB/s",), "32GiB", n_ctx=8192)
    assert quick_plan(asked).fits
    message = told(replace(asked, pins=(Pin("exps", "CUDA0"),)))
    assert re.search(r"pin exps puts 17,\d+ MiB on CUDA0, which has room for 7,168 MiB", message)
    assert "dropping the pin exps=CUDA0" in message


def test_an_excluded_device_is_offered(headers: Mapping[str, Header]) -> None:
    asked = request(headers, "qwen3-30b-a3b-q4_k_m", ("CUDA0=24GiB@900GB/s", "CUDA1=8GiB@900GB/s"), "2GiB", n_ctx=8192)
    assert "using CUDA0 would make it fit" in told(replace(asked, excluded=("CUDA0",)))


def test_a_pool_lacks_one_number_with_its_devices_own_part(headers: Mapping[str, Header]) -> None:
    message = told(request(headers, "kimi-k2-q4_k_m", ("Vulkan0=340GiB@256GB/s,shared",), "340GiB", n_ctx=32768))
    lack = re.search(r"the pool of RAM and Vulkan0 lacks ([\d,]+) MiB, of these ([\d,]+) MiB by Vulkan0 alone; ", message)
    assert lack is not None, message
    assert f"mends it: {lack[1]} MiB more memory is needed in all" in message
