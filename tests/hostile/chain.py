"""All that a header passes through, from its bytes to an estimate and a plan."""

from typing import Literal

from kvtui.base.build import DEFAULT_BUILD
from kvtui.base.findings import KvtuiError
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes
from kvtui.memory.amounts import Estimate
from kvtui.memory.described import describe_flags
from kvtui.model.load import model_from_header
from kvtui.model.spec import ModelSpec
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request

MACHINE = Machine(parse_devices(("CUDA0=24GiB@936GB/s",)), parse_ram("64GiB@60GB/s"))
MARGINS = (1 << 30,)
FLAGS = parse_flags(("-c", "512", "-np", "1", "-ngl", "99"))
FILE_BYTES = 2**40  # what the header may claim to stand before
PLANNED_TENSORS = 100  # a plan of more takes as long as a hundred estimates

End = Literal["sentence", "estimate", "plan"]


def end_of(data: bytes) -> tuple[End, str]:
    """How far it comes, and the sentence that ends it. Anything but a KvtuiError is a fault."""
    try:
        model = model_from_header(read_header(HeaderBytes(data, FILE_BYTES)), "x")
        estimate = describe_flags(model, MACHINE, MARGINS, DEFAULT_BUILD, FLAGS).estimate
    except KvtuiError as e:
        said = str(e)
    else:
        return _planned(model, estimate)
    assert "\n" not in said
    return "sentence", said


def _planned(model: ModelSpec, estimate: Estimate) -> tuple[End, str]:
    assert all(use.used_bytes >= 0 for use in (*estimate.devices, estimate.host))
    if len(model.tensors) > PLANNED_TENSORS:
        return "estimate", ""
    plan = quick_plan(Request(model, FLAGS.context, MACHINE))
    assert all("\n" not in f.message for f in plan.findings)
    return "plan", ""
