"""Cards of several vendors in one machine: `devices`, `plan` and the screen, for servers of different back ends."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from scenes import Scene
from test_nvml import library  # noqa: F401  (a fixture)
from test_vendors import PCI_IDS, amd_card, card, kfd

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to build the driver that plays"),
    pytest.mark.skipif(sys.platform != "linux", reason="the driver's library is found by LD_LIBRARY_PATH"),
]
GIB, MIB = 2**30, 2**20
XTX = {
    "usr/share/hwdata/pci.ids": PCI_IDS,
    **amd_card(0, "0000:03:00.0", "744c", 24, 2),
    **kfd(1, 0x300, 110000),
    "proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 62914560 kB\n",
}
UHD = card(1, "0000:00:02.0", "8086", "a780", "i915")
CUDA = ["CUDA0: NVIDIA GeForce RTX 3090 (24124 MiB, 4000 MiB free)", "CUDA1: NVIDIA GeForce RTX 3090 (24124 MiB, 23400 MiB free)"]
ROCM = ["ROCm0: AMD Radeon RX 7900 XTX (24560 MiB, 22500 MiB free)"]
# The loader has the cards in an order of its own: the idle 3090 before the busy one.
VULKAN = [
    "Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 22500 MiB free)",
    "Vulkan1: NVIDIA GeForce RTX 3090 (24576 MiB, 23500 MiB free)",
    "Vulkan2: NVIDIA GeForce RTX 3090 (24576 MiB, 4050 MiB free)",
]
BUSY, IDLE, RADEON = "00000000:01:00.0", "00000000:C1:00.0", None  # by NVML; AMD's card has a slot instead


def scene(folder: Path, library: Path, lists: list[str] | None, **more: Any) -> Scene:  # noqa: F811
    return Scene(folder, library, "pair", XTX | more.pop("files", {}), lists, **more)


def rows(found: Any) -> list[tuple[str, str | None, int, list[str]]]:
    return [(d["name"], d["pci_id"], d["free_bytes"] // GIB, d["also"]) for d in found["devices"]]


@pytest.mark.parametrize(
    ("libraries", "lists", "expected"),
    [
        (
            ("cuda", "vulkan"),
            [*CUDA, *VULKAN],
            [("CUDA0", BUSY, 4, ["Vulkan2"]), ("CUDA1", IDLE, 23, ["Vulkan1"]), ("Vulkan0", RADEON, 22, [])],
        ),
        (("vulkan",), VULKAN, [("Vulkan0", RADEON, 22, []), ("Vulkan1", IDLE, 23, []), ("Vulkan2", BUSY, 4, [])]),
        (("hip", "cuda"), [*ROCM, *CUDA], [("ROCm0", RADEON, 22, []), ("CUDA0", BUSY, 4, []), ("CUDA1", IDLE, 23, [])]),
    ],
)
def test_the_server_decides_names_and_order_and_the_drivers_what_is_free(
    library: Path,  # noqa: F811
    tmp_path: Path,
    headers: Any,
    libraries: tuple[str, ...],
    lists: list[str],
    expected: list[Any],
) -> None:
    play = scene(tmp_path, library, lists)
    server = play.server(*libraries)
    found = play.answers("devices", "--llama-server", server)
    assert rows(found) == expected
    assert (found["unusable"], found["problem"]) == ([], None)
    names = [name for name, *_ in expected]
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    plan = play.answers("plan", model, "--llama-server", server, "-c", "8192")
    assert [d["name"] for d in plan["devices"]] == names
    chosen = plan["argv"][plan["argv"].index("-dev") + 1].split(",") if "-dev" in plan["argv"] else names
    assert set(chosen) <= set(names)
    for size in ((80, 24), (160, 45)):
        shown = play.shows(model, server, size)
        assert all(name in shown for name in names)
        assert "N/A" not in shown  # each card's own driver was asked


def test_a_card_listed_twice_is_opened_once_by_name(library: Path, tmp_path: Path, headers: Any) -> None:  # noqa: F811
    play = scene(tmp_path, library, [*CUDA, *VULKAN])
    server = play.server("cuda", "vulkan")
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    plan = play.answers("plan", model, "--llama-server", server, "-c", "131072", "-np", "4")
    chosen = plan["argv"][plan["argv"].index("-dev") + 1].split(",")
    assert set(chosen) <= {"CUDA0", "CUDA1", "Vulkan0"}
    said = play.says("devices", "--llama-server", server)
    assert [line.split()[0] for line in said.splitlines() if "3090" in line] == ["CUDA0", "CUDA1"]
    assert "also listed as Vulkan1" in said


def test_a_card_without_a_back_end_is_shown_with_that_reason_and_not_planned_on(
    library: Path,  # noqa: F811
    tmp_path: Path,
    headers: Any,
) -> None:
    play = scene(tmp_path, library, CUDA)
    server = play.server("cuda")
    found = play.answers("devices", "--llama-server", server)
    assert rows(found) == [("CUDA0", BUSY, 4, []), ("CUDA1", IDLE, 23, [])]
    (out,) = found["unusable"]
    assert (out["description"], out["reason"]) == ("RX 7900 XTX", "needs a llama-server built with ROCm or Vulkan")
    assert "RX 7900 XTX" in play.says("devices", "--llama-server", server)
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    plan = play.answers("plan", model, "--llama-server", server, "-c", "8192")
    assert [d["name"] for d in plan["devices"]] == ["CUDA0", "CUDA1"]
    assert "device-left-out" in {f["code"] for f in plan["findings"]}
    assert "7900 XTX: needs a llama-server built with ROCm or Vulkan" in play.shows(model, server, (160, 45))


def test_a_card_the_server_has_a_back_end_for_and_does_not_list(library: Path, tmp_path: Path) -> None:  # noqa: F811
    play = scene(tmp_path, library, [CUDA[1].replace("CUDA1", "CUDA0"), VULKAN[0]])
    found = play.answers("devices", "--llama-server", play.server("cuda", "vulkan"))
    assert [d["name"] for d in found["devices"]] == ["CUDA0", "Vulkan0"]
    assert [u["reason"] for u in found["unusable"]] == ["the llama-server in use does not list it"]


def test_without_a_server_usual_back_ends_are_assumed_and_said(library: Path, tmp_path: Path, headers: Any) -> None:  # noqa: F811
    play = scene(tmp_path, library, None)
    found = play.answers("devices")
    assert [(d["name"], d["name_assumed"]) for d in found["devices"]] == [("CUDA0", True), ("CUDA1", True), ("ROCm0", True)]
    assert "usual back end of each card's maker" in play.says("devices")
    model = headers.write("llama-3.1-8b-q4_k_m", tmp_path)
    plan = play.answers("plan", model, "-c", "8192")
    assert "device-assumed" in {f["code"] for f in plan["findings"]}
    assert "usual back end" in " ".join(play.shows(model, None, (160, 45)).split())


def test_the_server_of_the_path_is_asked_where_vendors_are_mixed(library: Path, tmp_path: Path) -> None:  # noqa: F811
    play = scene(tmp_path, library, VULKAN)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "llama-server").symlink_to(play.server("vulkan"))
    assert [d["name"] for d in play.answers("devices")["devices"]] == ["Vulkan0", "Vulkan1", "Vulkan2"]


def test_a_server_that_says_nothing_leaves_names_to_its_back_ends(library: Path, tmp_path: Path) -> None:  # noqa: F811
    play = scene(tmp_path, library, None)
    found = play.answers("devices", "--llama-server", play.server("cuda", "hip"))
    assert [(d["name"], d["name_assumed"]) for d in found["devices"]] == [("CUDA0", True), ("CUDA1", True), ("ROCm0", True)]


def test_a_part_of_the_processor_stays_out_beside_cards_and_is_a_pool_alone(library: Path, tmp_path: Path) -> None:  # noqa: F811
    uhd = "Vulkan3: Intel(R) UHD Graphics 770 (ADL-S GT1) (48000 MiB, 47000 MiB free)"
    play = scene(tmp_path, library, [*VULKAN, uhd], files=UHD)
    found = play.answers("devices", "--llama-server", play.server("vulkan"))
    assert [d["name"] for d in found["devices"]] == ["Vulkan0", "Vulkan1", "Vulkan2"]
    assert [(u["name"], "beside other cards" in u["reason"]) for u in found["unusable"]] == [("Vulkan3", True)]
    alone = Scene(tmp_path / "alone", library, "", UHD, [uhd.replace("Vulkan3", "Vulkan0")])
    (pool,) = alone.answers("devices", "--llama-server", alone.server("vulkan"))["devices"]
    assert (pool["name"], pool["shared"], pool["total_bytes"]) == ("Vulkan0", True, 48000 * MIB)


def test_a_place_on_the_bus_that_the_server_prints_decides(library: Path, tmp_path: Path) -> None:  # noqa: F811
    lists = [
        f"Vulkan{i}: NVIDIA GeForce RTX 3090 [0000:{bus}:00.0] (24576 MiB, 23500 MiB free)" for i, bus in enumerate(("c1", "01"))
    ]
    play = scene(tmp_path, library, lists)
    found = play.answers("devices", "--llama-server", play.server("vulkan"))
    assert [(d["name"], d["pci_id"]) for d in found["devices"]] == [("Vulkan0", IDLE), ("Vulkan1", BUSY)]


def test_a_card_whose_driver_tells_no_memory_has_the_servers_figures(library: Path, tmp_path: Path) -> None:  # noqa: F811
    play = Scene(tmp_path, library, "dumb", {}, ["CUDA0: NVIDIA GeForce RTX 3090 (24124 MiB, 23400 MiB free)"])
    found = play.answers("devices", "--llama-server", play.server("cuda"))
    assert [(d["name"], d["pci_id"], d["free_bytes"]) for d in found["devices"]] == [("CUDA0", IDLE, 23400 * MIB)]
    assert found["unusable"] == []
    assert [u["reason"] for u in play.answers("devices")["unusable"]] == ["the driver tells no memory figures"]
