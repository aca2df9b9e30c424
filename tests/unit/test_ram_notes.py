"""What is said of weights in RAM: NUMA nodes, the file cache, swap."""

from pathlib import Path
from typing import Any

from kvtui.flags.context import ContextParams
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import HostMemory, Machine, NumaNode
from kvtui.memory.amounts import HostUse
from kvtui.memory.described import describe_flags
from kvtui.memory.ram_notes import ram_notes
from kvtui.model.load import load_model
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request

GIB = 2**30
NODES = (NumaNode(0, 60 * GIB, 64 * GIB, True), NumaNode(1, 50 * GIB, 64 * GIB, True))


def use(weights_gib: int) -> HostUse:
    return HostUse(weights_gib * GIB, 0, 0, 0)


def said(ram: HostMemory, host: HostUse, file_gib: int = 80, mode: str = "none") -> dict[str, str]:
    found = ram_notes(ram, host, file_gib * GIB, mode)
    assert {f.severity for f in found} <= {"note"}
    return {f.code: f.message for f in found}


def test_weights_that_no_node_holds_cross_nodes() -> None:
    ram = HostMemory(110 * GIB, 128 * GIB, nodes=NODES)
    assert said(ram, use(60)) == {}
    text = said(ram, use(61))["numa"]
    assert "61.0 GiB of weights in RAM cross NUMA nodes" in text
    assert "(node 0: 60.0 GiB, node 1: 50.0 GiB)" in text
    assert said(HostMemory(110 * GIB, 128 * GIB, nodes=NODES[:1]), use(100)) == {}


def test_the_cache_that_goes_is_what_is_not_free_without_it() -> None:
    ram = HostMemory(100 * GIB, 128 * GIB, file_cache_bytes=40 * GIB)  # 60 GiB hold nothing
    assert said(ram, use(60)) == {}
    assert "what is taken in RAM pushes up to 10.0 GiB" in said(ram, use(70))["file-cache"]
    assert "mmap pushes up to 20.0 GiB" in said(ram, use(10), file_gib=80, mode="mmap")["file-cache"]
    assert "mmap pushes up to 40.0 GiB" in said(ram, use(10), file_gib=500, mode="auto")["file-cache"]
    assert said(ram, use(10), file_gib=500, mode="dio") == {}


def test_swap_is_not_counted_on() -> None:
    ram = HostMemory(32 * GIB, 64 * GIB, swap_free_bytes=8 * GIB)
    assert said(ram, use(32)) == {}
    assert said(ram, use(33)) == {"swap": "8.0 GiB of swap are free and not counted: weights are read at every token"}


def test_a_plan_and_exact_flags_say_it(headers: Any, tmp_path: Path) -> None:
    model = load_model(headers.write("llama-3.1-8b-q4_k_m", tmp_path))
    nodes = (NumaNode(0, 4 * GIB, 8 * GIB, True), NumaNode(1, 4 * GIB, 8 * GIB, True))
    machine = Machine((), HostMemory(8 * GIB, 16 * GIB, file_cache_bytes=6 * GIB, nodes=nodes))
    context = ContextParams(n_ctx=4096, n_parallel=1)
    request = Request(model, context, machine)
    plan = quick_plan(request)
    exact = describe_flags(model, machine, (), request.build, ServerFlags(context=context))
    for findings in (plan.findings, exact.findings):
        assert {"numa", "file-cache"} <= {f.code for f in findings}
