"""AMD, Intel and Apple as their drivers tell of them: trees of files, and a sysctl that plays."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from trees import tree

from kvtui.hardware import amd, apple, intel
from kvtui.hardware.device import HostMemory, Machine
from kvtui.hardware.drm import processes
from kvtui.hardware.found import Where
from kvtui.hardware.vendors import VENDORS, by_rule, is_mixed, look
from kvtui.memory.device_notes import device_notes

GIB = 2**30
RAM = HostMemory(40 * GIB, 64 * GIB)
PCI_IDS = """# names
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]
\t\t1002 0e3b  a board
\t1586  Strix Halo [Radeon 8060S Graphics]
8086  Intel Corporation
\t56a0  DG2 [Arc A770]
\t56a1  DG2 [Arc A750]
\te20b  Battlemage G21 [Arc B580]
\t744c  something else
"""


def card(number: int, pci: str, vendor: str, device: str, driver: str, **files: str) -> dict[str, str]:
    at = f"sys/class/drm/card{number}/device"
    return {
        f"sys/class/drm/card{number}-DP-1/status": "connected\n",
        f"{at}/vendor": f"0x{vendor}\n",
        f"{at}/device": f"0x{device}\n",
        f"{at}/uevent": f"DRIVER={driver}\nPCI_SLOT_NAME={pci}\n",
        f"{at}/max_link_speed": "16.0 GT/s PCIe\n",
        f"{at}/max_link_width": "16\n",
        **{f"{at}/{name}": text for name, text in files.items()},
    }


def amd_card(number: int, pci: str, device: str, vram_gib: int, used_gib: int, gtt_gib: int = 32) -> dict[str, str]:
    memory = {"vram_total": vram_gib, "vram_used": used_gib, "gtt_total": gtt_gib, "gtt_used": 1}
    files = {f"mem_info_{name}": f"{gib * GIB}\n" for name, gib in memory.items()}
    return card(number, pci, "1002", device, "amdgpu", **files)


def kfd(node: int, location: int, gfx: int) -> dict[str, str]:
    text = f"cpu_cores_count 0\ngfx_target_version {gfx}\nlocation_id {location}\ndomain 0\n"
    return {f"sys/class/kfd/kfd/topology/nodes/{node}/properties": text}


def where(root: Path, files: Mapping[str, str | Path]) -> Where:
    return Where(RAM, tree(root, {"usr/share/hwdata/pci.ids": PCI_IDS, **files}), {}, None)


def test_two_amd_cards_of_one_pci_number_are_told_apart_by_their_memory(tmp_path: Path) -> None:
    files = {**amd_card(1, "0000:0a:00.0", "744c", 20, 0), **amd_card(0, "0000:03:00.0", "744c", 24, 2), **kfd(1, 0x300, 110000)}
    xtx, xt = amd.find(where(tmp_path, files), "ROCm").devices
    assert (xtx.name, xtx.description, xtx.free_bytes, xtx.total_bytes) == ("ROCm0", "RX 7900 XTX", 22 * GIB, 24 * GIB)
    assert (xtx.bandwidth, xtx.bandwidth_source, xtx.compute_capability) == (960e9, "published", 0x1100)
    assert xtx.link == pytest.approx(16 * 1.969e9)
    assert (xt.name, xt.description, xt.bandwidth) == ("ROCm1", "RX 7900 XT", 800e9)
    assert not xt.shared


def test_a_screen_that_is_on_is_a_desktop_and_one_that_is_plugged_in_is_not(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:03:00.0", "744c", 24, 2), **card(1, "0000:04:00.0", "8086", "56a1", "i915")}
    files |= {"sys/class/drm/card0-HDMI-A-1/enabled": "enabled\n", "sys/class/drm/card1-DP-1/enabled": "disabled\n"}
    place = where(tmp_path, files)
    assert [d.display for d in amd.find(place, "ROCm").devices] == [True]
    assert [d.display for d in intel.find(place, "SYCL").devices] == [False]


def test_strix_halo_is_one_pool_with_ram(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:c5:00.0", "1586", 4, 1, gtt_gib=124), **kfd(1, 0xC500, 110501)}
    (device,) = amd.find(where(tmp_path, files), "Vulkan", 1).devices
    assert (device.name, device.shared, device.total_bytes, device.free_bytes) == ("Vulkan1", True, 128 * GIB, 126 * GIB)
    assert (device.compute_capability, device.bandwidth, device.link) == (0x1151, 256e9, None)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({**amd_card(0, "0000:10:00.0", "164e", 1, 0), **kfd(1, 0x1000, 100306)}, "part of the processor"),
        (card(0, "0000:03:00.0", "1002", "67df", "radeon"), "not amdgpu"),
        (card(0, "0000:03:00.0", "1002", "744c", "amdgpu"), "no memory figures"),
    ],
)
def test_an_amd_gpu_that_can_not_be_planned_for_says_why(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    found = amd.find(where(tmp_path, files), "ROCm")
    assert found.devices == ()
    assert reason in found.unusable[0].reason


def fdinfo(pid: int, fd: int, client: int, key: str, mib: int, opened: str = "/dev/dri/renderD128") -> dict[str, str | Path]:
    text = f"pos:\t0\ndrm-driver:\txe\ndrm-client-id:\t{client}\ndrm-pdev:\t0000:03:00.0\n{key}:\t{mib} MiB\n"
    files = {f"proc/{pid}/fdinfo/{fd}": text, f"proc/{pid}/comm": f"process{pid}\n"}
    return {**files, f"proc/{pid}/fd/{fd}": Path(opened)}


def test_an_arc_has_its_published_size_less_what_processes_hold(tmp_path: Path) -> None:
    files = {
        **card(0, "0000:03:00.0", "8086", "e20b", "xe"),
        **card(1, "0000:00:02.0", "8086", "a780", "i915"),
        **fdinfo(7, 3, 1, "drm-resident-vram0", 1024),
        **fdinfo(7, 4, 1, "drm-resident-vram0", 1024),  # the same client by another descriptor
        **fdinfo(8, 3, 2, "drm-resident-vram0", 512),
        **fdinfo(9, 3, 3, "drm-resident-vram0", 256, opened="socket:[1]"),  # no card's: not even read
    }
    place = where(tmp_path, files)
    found = intel.find(place, "SYCL")
    (device,) = found.devices
    assert (device.name, device.description, device.bandwidth) == ("SYCL0", "Arc B580", 456e9)
    assert (device.total_bytes, device.free_bytes) == (12 * GIB, 12 * GIB - 1536 * 2**20)
    assert "part of the processor" in found.unusable[0].reason
    held = [(p.pid, p.name, p.used_bytes // 2**20) for p in processes(place.root, "0000:03:00.0")]
    assert held == [(7, "process7", 1024), (8, "process8", 512)]


def test_an_intel_card_of_unknown_size_says_so(tmp_path: Path) -> None:
    found = intel.find(where(tmp_path, card(0, "0000:03:00.0", "8086", "ffff", "i915")), "SYCL")
    assert found.unusable[0].description == "Intel GPU ffff"
    assert "i915 driver does not tell" in found.unusable[0].reason


def test_an_intel_card_of_two_sizes_is_known_once_its_driver_tells_which(tmp_path: Path) -> None:
    silent = intel.find(where(tmp_path / "silent", card(0, "0000:03:00.0", "8086", "56a0", "i915")), "SYCL")
    assert "does not tell its memory" in silent.unusable[0].reason
    told = card(0, "0000:03:00.0", "8086", "56a0", "xe", **{"tile0/physical_vram_size_bytes": f"{8 * GIB}\n"})
    (device,) = intel.find(where(tmp_path / "told", told), "SYCL").devices
    assert (device.description, device.bandwidth) == ("Arc A770 8GB", 512e9)


@pytest.mark.parametrize(("limit_mb", "usable_gib"), [(0, 96), (120 * 1024, 120)])
def test_a_mac_is_one_pool_and_a_limit_that_was_set_counts(tmp_path: Path, limit_mb: int, usable_gib: int) -> None:
    sysctl = tmp_path / "sysctl"
    answers = {"machdep.cpu.brand_string": "Apple M4 Max", "hw.memsize": 128 * GIB, "iogpu.wired_limit_mb": limit_mb}
    cases = "".join(f"{key}) echo '{value}';;\n" for key, value in answers.items())
    sysctl.write_text(f'#!/bin/sh\ncase "$2" in\n{cases}*) exit 1;;\nesac\n')
    sysctl.chmod(0o755)
    (device,) = apple.find(Where(RAM, tmp_path, {}, sysctl), "MTL").devices
    assert (device.name, device.shared, device.bandwidth) == ("MTL0", True, 546e9)
    assert device.total_bytes == usable_gib * GIB


def test_an_intel_mac_or_a_sysctl_that_is_not_there_has_no_device(tmp_path: Path) -> None:
    assert apple.find(Where(RAM, tmp_path, {}, tmp_path / "none"), "MTL").devices == ()
    assert apple.find(Where(RAM, tmp_path, {}, None), "MTL").devices == ()


def test_the_build_decides_who_is_seen_and_under_which_name(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:03:00.0", "744c", 24, 0), **card(1, "0000:04:00.0", "8086", "56a1", "i915")}
    place = where(tmp_path, files)
    vendors = VENDORS[1:]  # NVIDIA's driver is asked on the machine itself
    assert [d.name for d in by_rule(look(place, ("Vulkan",), vendors)).devices] == ["Vulkan0", "Vulkan1"]
    rocm = by_rule(look(place, ("CPU", "ROCm"), vendors))
    assert [(d.name, d.assumed) for d in rocm.devices] == [("ROCm0", False)]
    assert [(u.description, u.reason) for u in rocm.unusable] == [("Arc A750", "needs a llama-server built with SYCL or Vulkan")]
    assert by_rule(look(place, ("CUDA",), vendors)).devices == ()


def test_without_a_server_each_makers_usual_back_end_is_assumed_and_said(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:03:00.0", "744c", 24, 0), **card(1, "0000:04:00.0", "8086", "56a1", "i915")}
    looks = look(where(tmp_path, files), None, VENDORS[1:])
    assert is_mixed(looks)
    machine = Machine(by_rule(looks, assumed=True).devices, RAM)
    assert [d.name for d in machine.devices] == ["ROCm0", "SYCL0"]
    (note,) = device_notes(machine)
    assert note.code == "device-assumed"
    assert note.message.startswith("ROCm0, SYCL0: by the usual back end of each card's maker")
