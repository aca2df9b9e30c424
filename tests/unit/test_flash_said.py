"""-fa auto is said out by a plan where the kernels are known."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.model.load import model_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import rows_of

KNOWN, UNKNOWN = ("3090",), ("CUDA0=24GiB/24GiB@936GB/s",)


@pytest.mark.parametrize(
    ("name", "devices", "given", "said"),
    [
        ("llama-3.1-8b-q4_k_m", KNOWN, {}, "on"),
        ("llama-3.1-8b-q4_k_m", KNOWN, {"type_k": "q8_0", "type_v": "q8_0"}, "on"),
        ("llama-3.1-8b-q4_k_m", UNKNOWN, {}, "auto"),  # its compute capability is not known
        ("llama-3.1-8b-q4_k_m", KNOWN, {"flash_attn": "off"}, "off"),
        ("llama-3.1-8b-q4_k_m", KNOWN, {"type_k": "iq4_nl", "type_v": "iq4_nl"}, "auto"),  # a quantised V needs it all the same
        ("deepseek2-moe", KNOWN, {}, "off"),  # heads that no kernel has
        ("mamba-dense", KNOWN, {}, "auto"),  # no attention
    ],
)
def test_it_is_on_where_the_kernel_is_known_and_off_where_there_is_none(
    headers: Mapping[str, Header], name: str, devices: tuple[str, ...], given: dict[str, str], said: str
) -> None:
    machine = Machine(parse_devices(devices), parse_ram("64GiB@60GB/s"))
    context = ContextParams(n_ctx=4096, **given)  # type: ignore[arg-type]
    argv = quick_plan(Request(model_from_header(headers[name], name), context, machine)).argv
    assert argv[argv.index("-fa") + 1] == said


def test_a_pair_without_a_kernel_is_asked_for_as_the_person_left_it(headers: Mapping[str, Header]) -> None:
    machine = Machine(parse_devices(KNOWN), parse_ram("64GiB@60GB/s"))
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "x")
    rows = []
    for given in ("auto", "on"):
        plan = quick_plan(Request(model, ContextParams(n_ctx=4096, flash_attn=given), machine))
        assert plan.request.context.flash_attn == "on"
        rows.append({r.pair: r.runs_because for r in rows_of(plan, (("f16", "f16"), ("f16", "iq4_nl"), ("iq4_nl", "f16")))})
    assert rows[0]["f16", "f16"] == rows[1]["f16", "f16"]
    assert rows[0]["iq4_nl", "f16"] != rows[1]["iq4_nl", "f16"]  # auto ends with flash attention off, on attends on the CPU
    assert rows[0]["iq4_nl", "f16"].endswith("-fa auto turns flash attention off")  # why: no person did
    other = replace(plan.request, flash_open=True, context=replace(plan.request.context, type_k="iq4_nl"))
    assert quick_plan(other).request.context.flash_attn == "off"
