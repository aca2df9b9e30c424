"""What fits: margins, RAM, and a pool that a device shares with RAM, counted once."""

from kvtui.base.sizes import GIB
from kvtui.hardware.device import Device, HostMemory, Machine
from kvtui.memory.amounts import DeviceMemory, Estimate, HostUse
from kvtui.memory.fits import capacities, lacking


def _lacks(device: Device, ram: int, on_device: int, in_ram: int, margin: int = 0) -> list[tuple[str, int]]:
    machine = Machine((device,), HostMemory(ram * GIB, ram * GIB))
    memory = Estimate((DeviceMemory(on_device * GIB, 0, 0, 0),), HostUse(in_ram * GIB, 0, 0, 0), "")
    return [(x.name, x.n_bytes // GIB) for x in lacking(machine, capacities(machine, (margin * GIB,)), memory)]


def test_a_device_holds_free_minus_its_margin_and_ram_what_is_free() -> None:
    card = Device("CUDA0", 24 * GIB, 24 * GIB)
    assert _lacks(card, 64, 23, 64, margin=1) == []
    assert _lacks(card, 64, 24, 65, margin=1) == [("CUDA0", 1), ("RAM", 1)]
    assert _lacks(card, 64, 0, 0, margin=30) == []  # nothing on it: no margin is missed


def test_a_pool_is_counted_once() -> None:
    pool = Device("Vulkan0", 340 * GIB, 340 * GIB, shared=True)
    assert _lacks(pool, 340, 331, 290) == [("the pool of RAM and Vulkan0", 281)]
    assert _lacks(pool, 340, 331, 9) == []
    assert _lacks(Device("Vulkan0", 340 * GIB, 340 * GIB), 340, 331, 290) == []  # memory of its own


def test_what_a_part_of_the_pool_lacks_is_not_counted_twice() -> None:
    assert _lacks(Device("MTL0", 12 * GIB, 16 * GIB, shared=True), 16, 14, 5) == [
        ("MTL0", 2),
        ("the pool of RAM and MTL0", 1),
    ]


def test_free_is_the_limit_where_it_exceeds_the_total() -> None:
    device = Device("Vulkan0", 47 * GIB, 37 * GIB, shared=True)
    assert _lacks(device, 40, 45, 2) == []
    assert _lacks(device, 40, 45, 3) == [("the pool of RAM and Vulkan0", 1)]
