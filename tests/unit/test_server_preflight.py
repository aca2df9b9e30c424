"""What lacks before a launch, who holds it, and what a run held beyond its log."""

from kvtui.hardware.device import Device
from kvtui.hardware.nvidia.nvml import Gpu, GpuProcess
from kvtui.server.process.holding import overheads
from kvtui.server.process.ports import PortChoice
from kvtui.server.process.preflight import Needs, Preflight, shortages

GIB = 2**30
DEVICES = (Device("CUDA0", 24 * GIB, 24 * GIB, pci_id="0000:01:00.0"), Device("RPC0", 8 * GIB, 8 * GIB, endpoint="127.0.0.1:1"))


def gpu(free: int | None) -> Gpu:
    holders = (GpuProcess(7, "blender", 3 * GIB), GpuProcess(8, "train", 9 * GIB), GpuProcess(9, "hidden", None))
    return Gpu(0, "RTX 3090", None, "0000:01:00.0", 24 * GIB, free, None, None, None, None, None, None, holders)


def test_a_device_that_lacks_memory_is_told_with_its_holders_the_largest_first() -> None:
    needs = Needs(DEVICES, (20 * GIB, 0), ram_bytes=0)
    (found,) = shortages(needs, [gpu(12 * GIB)], {}, 64 * GIB)
    assert found.held == (("train", 8, 9 * GIB), ("blender", 7, 3 * GIB))
    assert str(found).startswith("CUDA0 lacks 8,192 MiB right now: held by train (pid 8) 9,216 MiB")
    assert shortages(needs, [gpu(20 * GIB)], {}, 64 * GIB) == ()


def test_what_nobody_can_tell_is_no_shortage_and_a_listed_device_is_measured_by_its_list() -> None:
    assert shortages(Needs(DEVICES, (20 * GIB, 0), 0), [gpu(None)], {}, 64 * GIB) == ()
    (found,) = shortages(Needs(DEVICES, (0, 6 * GIB), 0), [], {"RPC0": 5 * GIB}, 64 * GIB)
    assert (found.name, found.needed_bytes - found.free_bytes) == ("RPC0", GIB)


def test_ram_that_lacks_is_told_with_somebody_who_holds_it() -> None:
    (found,) = shortages(Needs(DEVICES, (0, 0), ram_bytes=2 * GIB), [], {}, GIB)
    assert (found.name, found.needed_bytes, found.free_bytes) == ("RAM", 2 * GIB, GIB)
    assert found.held


def test_only_an_address_beyond_this_machine_is_asked_about() -> None:
    port = PortChoice(8080, None)
    assert Preflight(port, "127.0.0.1").questions == ()
    assert Preflight(port, "0.0.0.0").questions == ("0.0.0.0 is open to the network: it gets an API key",)


def test_the_rest_is_what_a_device_holds_beyond_the_log_and_ram_has_none() -> None:
    assert overheads({"CUDA0": 10, "CUDA1": 10, "RAM": 10}, {"CUDA0": 14, "CUDA1": 9, "CUDA2": 5, "RAM": 99}) == {
        "CUDA0": 4,
        "CUDA1": 0,
    }
