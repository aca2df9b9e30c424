"""The real nvidia-ml-py on a driver that plays: each scene a process of its own, as the library is loaded once a process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to build the driver that plays"),
    pytest.mark.skipif(sys.platform != "linux", reason="the driver's library is found by LD_LIBRARY_PATH"),
]

GIB = 2**30
_BEGIN = """
import json, os, pathlib, threading
from kvtui.hardware.nvidia.nvml import as_devices, poll, unusable
from kvtui.hardware.nvidia.visible import visible
from kvtui.hardware.device import HostMemory
RAM = HostMemory(100 * 2**30, 119 * 2**30)
def shown(state):
    gpus = visible(state.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return {
        "problem": state.problem,
        "driver": state.driver,
        "display": [d.name for d in as_devices(gpus, RAM) if d.display],
        "devices": [[d.name, d.pci_id, d.free_bytes, d.bandwidth, d.bandwidth_source, d.shared, d.description]
                    for d in as_devices(gpus, RAM)],
        "unusable": [[u.name, u.reason] for u in unusable(gpus, state.gpus, RAM)],
        "processes": [[p.name, p.used_bytes, p.pid == os.getpid()] for g in state.gpus for p in g.processes],
        "problems": [g.problem for g in state.gpus],
    }
there = pathlib.Path(os.environ["PLAY_FILE"])
def say(*states): print(json.dumps([shown(s) for s in states]))
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libnvidia-ml.so.1 that plays."""
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parent / "played_nvml.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    return folder


def play(library: Path, tmp_path: Path, scene: str, does: str = "say(poll())", **env: str) -> Any:
    """What `does` says while `scene` is played."""
    ran = subprocess.run(
        [sys.executable, "-c", _BEGIN + does],
        env={
            **{k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"},
            "LD_LIBRARY_PATH": str(library),
            "PLAY": scene,
            "PLAY_FILE": str(tmp_path / "there"),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_eight_gpus_are_numbered_as_cuda_does_not_as_nvml(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "eight")
    buses = [d[1].split(":")[1] for d in state["devices"]]
    assert buses == ["01", "21", "41", "61", "81", "A1", "C1", "E1"]  # NVML lists C1 first
    assert [d[0] for d in state["devices"]] == [f"CUDA{i}" for i in range(8)]
    assert state["driver"] == "580.65.06"
    assert state["display"] == ["CUDA0"]  # NVML's second is the first on the bus
    assert state["devices"][0][2:5] == [23 * GIB, 9751e6 * 2 * 48, "NVML"]


def test_a_process_that_computes_and_draws_is_one_and_has_a_name(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "one")
    ((name, used, ours),) = state["processes"]
    assert (used, ours) == (GIB // 2, True)
    assert "python" in name


_DEVICES = "from click.testing import CliRunner; from kvtui.cli import cli; print(CliRunner().invoke(cli, ['devices'{}]).stdout)"


def test_devices_names_the_driver_and_who_is_on_each_card(library: Path, tmp_path: Path) -> None:
    """And which of them kvtui launched: this process is recorded as a server of ours."""
    recorded = """
from kvtui.server.process.record import ServerRecord, new_folder, save
from kvtui.server.program.marks import process_identity
folder = new_folder()
save(ServerRecord(folder, os.getpid(), process_identity(os.getpid()), "llama-server", "", "m", (), "127.0.0.1", 8080, 0.0))
"""
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    answer = play(library, tmp_path, "plain", recorded + _DEVICES.format(", '--json'"), **state)
    assert answer["nvidia_driver"] == "580.65.06"
    (device,) = answer["devices"]
    assert device["link_bytes_per_second"] == pytest.approx(16 * 1.969e9)
    ((process),) = device["processes"]
    assert (process["bytes"], process["ours"]) == (GIB // 2, True)
    assert process["name"].startswith("python")


def test_mig_instances_stand_for_their_gpu_and_a_program_sees_one(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "mig")
    plain, first = state["devices"]
    assert (plain[0], plain[2]) == ("CUDA0", 39 * GIB)
    assert first[0] == "CUDA1"
    assert first[1].endswith("/MIG-01")
    assert first[2] == 4 * GIB
    assert first[3] == plain[3] / 8  # 5 of 40 GiB
    assert first[6].endswith("MIG 1g.5gb")
    assert state["unusable"] == [["", "a program sees one MIG instance: CUDA_VISIBLE_DEVICES=MIG-04 chooses this one"]]
    (chosen,) = play(library, tmp_path, "mig", CUDA_VISIBLE_DEVICES="MIG-04")
    assert [d[1].rpartition("/")[2] for d in chosen["devices"]] == ["MIG-04"]


def test_a_spark_has_one_pool_with_ram_and_its_published_bandwidth(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "spark")
    assert state["devices"] == [["CUDA0", "00000000:C1:00.0", 100 * GIB, 273e9, "published", True, "NVIDIA GB10"]]
    assert state["unusable"] == []


def test_a_card_without_figures_is_listed_with_its_reason(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "dumb")
    assert state["devices"] == []
    assert state["unusable"] == [["CUDA0", "the driver tells no memory figures"]]


def test_where_nvml_tells_no_clock_the_published_bandwidth_is_taken(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "bare")
    assert state["devices"][0][3:5] == [936e9, "published"]


def test_a_vgpu_is_a_device_that_says_so(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "vgpu")
    assert "vGPU" in state["devices"][0][6]


def test_a_card_lost_between_polls_keeps_its_number(library: Path, tmp_path: Path) -> None:
    before, after = play(library, tmp_path, "lost", "a = poll(); there.touch(); say(a, poll())")
    assert [(d[0], d[1][9:11]) for d in before["devices"]] == [("CUDA0", "01"), ("CUDA1", "21"), ("CUDA2", "C1")]
    assert [(d[0], d[1][9:11]) for d in after["devices"]] == [("CUDA1", "21"), ("CUDA2", "C1")]
    assert after["unusable"] == [["CUDA0", "lost: it fell off the bus; a restart brings it back"]]


@pytest.mark.parametrize("scene", ["lost-at-once", "lost-midway"])
def test_a_card_lost_before_or_during_the_first_poll_is_a_row(library: Path, tmp_path: Path, scene: str) -> None:
    (state,) = play(library, tmp_path, scene)
    assert state["unusable"] == [["CUDA0", "lost: it fell off the bus; a restart brings it back"]]


@pytest.mark.parametrize(("scene", "words"), [("mismatch", "different versions"), ("closed", "refuses this user")])
def test_a_driver_that_does_not_begin_says_why(library: Path, tmp_path: Path, scene: str, words: str) -> None:
    (state,) = play(library, tmp_path, scene)
    assert state["devices"] == []
    assert words in state["problem"]


def test_hidden_processes_are_no_problem_of_the_card(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "hidden")
    assert state["processes"] == []
    assert state["problems"] == [None]
    assert "processes are not told" in state["devices"][0][6]


def test_memory_that_moves_is_seen(library: Path, tmp_path: Path) -> None:
    before, after = play(library, tmp_path, "moves", "a = poll(); there.touch(); say(a, poll())")
    assert (before["devices"][0][2], after["devices"][0][2]) == (23 * GIB, 15 * GIB)


def test_a_call_that_hangs_freezes_nothing_is_not_asked_again_and_recovers(library: Path, tmp_path: Path) -> None:
    does = """
there.touch(); a = poll(); there.unlink()
b = poll(0.1); one = threading.active_count(); c = poll(0.1); two = threading.active_count()
assert (one, two) == (2, 2), (one, two)
there.touch(); poll(30); d = poll(30)
say(a, b, c, d)
"""
    well, hung, still, again = play(library, tmp_path, "hang", does)
    assert well["problem"] is None
    assert hung["problem"].startswith("the NVIDIA driver does not answer since ")
    assert hung["problem"] == still["problem"]  # since the first
    assert hung["devices"] == well["devices"]  # as last seen,
    assert hung["problems"] == [hung["problem"]]  # and said to be old
    assert (again["problem"], again["problems"]) == (None, [None])


def test_a_program_ends_while_the_driver_hangs(library: Path, tmp_path: Path) -> None:
    (state,) = play(library, tmp_path, "hang", "say(poll(0.1))")  # ends, or play() runs out of time
    assert "does not answer since" in state["problem"]
