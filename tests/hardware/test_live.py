"""Live figures of AMD's and Intel's cards, from trees of files; and a driver that hangs."""

import os
import threading
from pathlib import Path

import pytest
from test_vendors import amd_card, card, fdinfo, kfd, where
from trees import tree

from kvtui.hardware import amd, drm_use, intel
from kvtui.hardware.drm import processes
from kvtui.hardware.watch import Watch
from kvtui.tui.state import LiveMemory
from kvtui.tui.work.live import poll_live

GIB = 2**30


def sensors(number: int, heat: int, **power: int) -> dict[str, str]:
    at = f"sys/class/drm/card{number}/device/hwmon/hwmon3"
    return {f"{at}/temp1_input": f"{heat}\n", **{f"{at}/{name}": f"{watt * 10**6}\n" for name, watt in power.items()}}


def test_an_amd_card_moves_with_its_sensors(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:03:00.0", "744c", 24, 2), **kfd(1, 0x300, 110000), **sensors(0, 54000, power1_average=211)}
    files["sys/class/drm/card0/device/gpu_busy_percent"] = "97\n"
    devices = amd.find(where(tmp_path, files), "ROCm").devices
    assert poll_live(devices, tmp_path).live[0] == LiveMemory(2 * GIB, "97% 54C 211W")
    tree(tmp_path, {"sys/class/drm/card0/device/mem_info_vram_used": f"{9 * GIB}\n"})
    polled = poll_live(devices, tmp_path)
    assert polled.live[0].used_bytes == 9 * GIB
    assert polled.problem == ""  # that there is no NVIDIA card is no news here


def test_a_pool_with_ram_counts_what_is_mapped_of_it(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:c5:00.0", "1586", 4, 1, gtt_gib=124), **kfd(1, 0xC500, 110501)}
    devices = amd.find(where(tmp_path, files), "ROCm").devices
    assert poll_live(devices, tmp_path).live[0].used_bytes == 2 * GIB


def test_an_arc_is_what_its_processes_hold(tmp_path: Path) -> None:
    files = {**card(0, "0000:03:00.0", "8086", "e20b", "xe"), **sensors(0, 41500, power1_input=38)}
    place = where(tmp_path, {**files, **fdinfo(7, 3, 1, "drm-resident-vram0", 1024)})
    devices = intel.find(place, "SYCL").devices
    assert poll_live(devices, tmp_path).live[0] == LiveMemory(GIB, "42C 38W")


def test_processes_are_looked_through_once_in_a_few_seconds_figures_each_time(tmp_path: Path) -> None:
    files = {**amd_card(0, "0000:03:00.0", "744c", 24, 2), **fdinfo(7, 3, 1, "drm-memory-vram", 1024)}
    place = where(tmp_path, files).root

    def told(seen: drm_use.Seen) -> tuple[int | None, list[int]]:
        use = seen.uses["0000:03:00.0"]
        return use.used_bytes, [p.pid for p in use.processes]

    first = drm_use.after(drm_use.NOTHING, place, 100.0)
    assert told(first) == (2 * GIB, [7])
    used = {"sys/class/drm/card0/device/mem_info_vram_used": f"{9 * GIB}\n"}
    tree(tmp_path, {**used, **fdinfo(8, 3, 2, "drm-memory-vram", 512)})
    second = drm_use.after(first, place, 101.5)
    assert told(second) == (9 * GIB, [7])
    assert told(drm_use.after(second, place, 105.0)) == (9 * GIB, [7, 8])


def test_a_card_that_went_away_says_so(tmp_path: Path) -> None:
    devices = amd.find(where(tmp_path, amd_card(0, "0000:03:00.0", "744c", 24, 2)), "ROCm").devices
    (tmp_path / "sys/class/drm/card0/device/mem_info_vram_used").unlink()
    assert poll_live(devices, tmp_path).live[0].note == "N/A"


def test_files_of_a_driver_that_hangs_hold_nobody_up(tmp_path: Path) -> None:
    place = where(tmp_path, amd_card(0, "0000:03:00.0", "744c", 24, 2)).root
    uses, since = drm_use.poll(place)
    assert since is None
    assert uses["0000:03:00.0"].used_bytes == 2 * GIB
    busy = place / "sys/class/drm/card0/device/gpu_busy_percent"
    os.mkfifo(busy)  # opening it waits for a writer, as a hung driver's file for its card
    stale, since = drm_use.poll(place, 0.05)
    assert since is not None
    assert stale == uses
    assert drm_use.poll(place, 0.05)[1] == since  # and it was not asked again
    threads = [t for t in threading.enumerate() if t.name == "driver"]
    assert len(threads) == 1
    with busy.open("w") as pipe:
        pipe.write("5\n")
    threads[0].join()


def test_what_was_read_before_is_handed_on() -> None:
    watch: Watch[int] = Watch(lambda before: before + 1, 0)
    assert [watch.look(5.0) for _ in range(3)] == [(1, None), (2, None), (3, None)]


def test_a_look_that_fails_is_told_to_who_looks_and_the_next_one_looks_again() -> None:
    answers = iter((ValueError("the driver"), 5))

    def read(_: int) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch: Watch[int] = Watch(read, 0)
    with pytest.raises(ValueError, match="the driver"):
        watch.look(60)
    assert watch.look(60) == (5, None)


def test_a_process_that_ends_while_it_is_looked_at_is_none(tmp_path: Path) -> None:
    gone, here = tmp_path / "proc/1", tmp_path / "proc/2/fdinfo"
    gone.mkdir(parents=True)
    here.mkdir(parents=True)
    (here / "3").write_text("drm-pdev: 0000:03:00.0\ndrm-client-id: 7\ndrm-memory-vram: 5 MiB\ndrm-memory-local: \u00b2 MiB\n")
    assert [(p.pid, p.used_bytes) for p in processes(tmp_path, "0000:03:00.0")] == [(2, 5 << 20)]
