"""What `kvtui devices` says of a machine, for people and for programs."""

from dataclasses import replace

from kvtui.hardware.cards import expand_cards
from kvtui.hardware.device import HostMemory, Machine, NumaNode, Unusable
from kvtui.hardware.found import Found, Where
from kvtui.hardware.holders import HeldNow, Holder
from kvtui.hardware.numa import Swap
from kvtui.hardware.probe import Inventory
from kvtui.hardware.vendors import Vendor, by_rule, look
from kvtui.report.as_json import inventory_json
from kvtui.report.as_text import inventory_lines

GIB = 2**30
RAM = HostMemory(100 * GIB, 128 * GIB)
LOST = Unusable("CUDA0", "NVIDIA GeForce RTX 3090", "lost: it fell off the bus")
NODES = (NumaNode(0, 60 * GIB, 64 * GIB, True), NumaNode(1, 40 * GIB, 64 * GIB, False))
SPARK = Inventory(Machine(expand_cards("Spark"), RAM, (LOST,)), "the driver sleeps", NODES, Swap(GIB, 2 * GIB))


def test_every_row_has_its_figures_or_its_reason() -> None:
    assert [" ".join(line.split()) for line in inventory_lines(SPARK)] == [
        "the driver sleeps",
        "CUDA0 DGX Spark 128.0 GiB free of 128.0 GiB, 273 GB/s (published), one pool with RAM",
        "CUDA0 NVIDIA GeForce RTX 3090 lost: it fell off the bus",
        "RAM 100.0 GiB free of 128.0 GiB",
        "NUMA 0 60.0 GiB free of 64.0 GiB",
        "NUMA 1 memory alone 40.0 GiB free of 64.0 GiB",
        "swap 1.0 GiB free of 2.0 GiB",
    ]


def test_who_is_on_a_card_is_told_by_name_and_ours_are_marked() -> None:
    here = Inventory(Machine(expand_cards("2x3090"), RAM), None, (), Swap(0, 0))
    held = HeldNow("580.65.06", ((), (Holder(7, "llama-server", 20 * GIB), Holder(9, "Xorg", None))), frozenset({7}))
    driver, _, second, on_it, _ = (" ".join(line.split()) for line in inventory_lines(here, held))
    assert driver == "NVIDIA driver 580.65.06"
    assert second.startswith("CUDA1")
    assert on_it == "llama-server 20.0 GiB (ours, pid 7), Xorg (pid 9)"
    value = inventory_json(here, held)
    assert value["nvidia_driver"] == "580.65.06"
    assert [d["processes"] for d in value["devices"]] == [
        [],
        [
            {"pid": 7, "name": "llama-server", "bytes": 20 * GIB, "ours": True},
            {"pid": 9, "name": "Xorg", "bytes": None, "ours": False},
        ],
    ]


def test_one_node_and_no_swap_say_nothing() -> None:
    plain = Inventory(Machine((), RAM), "no GPU here", NODES[:1], Swap(0, 0))
    assert [line.split()[0] for line in inventory_lines(plain)] == ["no", "RAM"]


def test_a_link_and_a_desktop_are_told() -> None:
    (card,) = expand_cards("3090")
    (row, _) = inventory_lines(Inventory(Machine((replace(card, display=True),), RAM), None, (), Swap(0, 0)))
    assert row.endswith("936 GB/s (published), link 31.5 GB/s, draws the desktop")


def test_the_json_has_the_same() -> None:
    value = inventory_json(SPARK)
    assert value["problem"] == "the driver sleeps"
    assert value["devices"][0]["shared"] is True
    assert value["devices"][0]["compute_capability"] == 121
    assert value["unusable"] == [{"name": "CUDA0", "description": LOST.description, "reason": LOST.reason}]
    assert [n["node"] for n in value["numa"]] == [0, 1]
    assert value["swap"] == {"free_bytes": GIB, "total_bytes": 2 * GIB}


def vendor(found: Found) -> Vendor:
    return Vendor("some", ("CUDA",), lambda where, backend, first: found)


def found(where: Where, vendors: list[Vendor]) -> Found:
    return by_rule(look(where, None, vendors))


def test_what_is_wrong_is_told_with_devices_and_without() -> None:
    devices = expand_cards("3090")
    where = Where(RAM)
    assert found(where, [vendor(Found())]).problem == "no GPU here"
    assert found(where, [vendor(Found(unusable=(LOST,)))]).problem == "no GPU here that can be planned for"
    assert found(where, [vendor(Found(devices))]).problem is None
    assert found(where, [vendor(Found(devices, problem="it hangs")), vendor(Found())]).problem == "it hangs"
