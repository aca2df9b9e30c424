"""The bundled model header and the simulated machine of `kvtui demo`."""

from typing import TYPE_CHECKING

from kvtui.base.data import data_file
from kvtui.base.sizes import GIB, MIB
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.header.reader import Header, read_header
from kvtui.header.source import HeaderBytes

if TYPE_CHECKING:
    from kvtui.placement.request import Request

_MODEL_BYTES = 666_071_228_960  # what the shapes of Kimi K2 take in Q4_K_M
_TAKEN_BYTES = 300 * MIB  # of an idle card, by its driver: the demo's own choice


def demo_header() -> Header:
    """Header of a model with Kimi K2's published shapes: 1,096 tensors, no weights."""
    data = data_file("kimi-k2.head").read_bytes()
    return read_header(HeaderBytes(data, _MODEL_BYTES))


def demo_machine() -> Machine:
    """Two 24 GiB and two 16 GiB cards, 768 GiB of RAM; bandwidths as published for these cards."""

    def card(name: str, description: str, gib: float, bandwidth: float) -> Device:
        total = int(gib * GIB)
        return Device(
            name=name,
            free_bytes=total - _TAKEN_BYTES,
            total_bytes=total,
            bandwidth=bandwidth,
            link=25e9,
            description=description,
            bandwidth_source="preset",
            simulated=True,
        )

    return Machine(
        devices=(
            card("CUDA0", "RTX 3090", 24, 936e9),
            card("CUDA1", "RTX 3090", 24, 936e9),
            card("CUDA2", "RTX A4000", 16, 448e9),
            card("CUDA3", "RTX A4000", 16, 448e9),
        ),
        ram=HostMemory(700 * GIB, 768 * GIB, bandwidth=300e9, bandwidth_source="preset", simulated=True),
    )


def demo_request() -> "Request":
    """The demo's starting point: 132,000 tokens, as in the guide."""
    from kvtui.flags.context import ContextParams
    from kvtui.model.load import model_from_header
    from kvtui.placement.request import Request

    model = model_from_header(demo_header(), "Kimi K2 (demo)")
    return Request(model, ContextParams(n_ctx=132000, n_parallel=1), demo_machine())
