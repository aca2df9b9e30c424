"""Memory that a server gives back is waited for, with who holds it, on a driver that plays."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_nvml import library  # noqa: F401  (a fixture)

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to build the driver that plays"),
    pytest.mark.skipif(sys.platform != "linux", reason="the driver's library is found by LD_LIBRARY_PATH"),
]

WAITS = """
import os, pathlib, threading
from kvtui.hardware.device import HostMemory
from kvtui.hardware.nvidia.nvml import as_devices, poll
from kvtui.server.process.ports import PortChoice
from kvtui.server.process.preflight import Needs, Preflight, shortages
from kvtui.server.process.settling import settled
device = as_devices(poll().gpus, HostMemory(2**36, 2**36))[0]
needs = Needs((device,), (8 * 2**30,), 0)
there, cancel = pathlib.Path(os.environ["PLAY_FILE"]), threading.Event()
def look():
    return Preflight(PortChoice(8080), "127.0.0.1", shortages=shortages(needs, poll().gpus, {}, 2**36))
def heard(wait):
    print(wait, flush=True)
    DOES
print("lacks", len(settled(look, SINCE, heard, cancel).shortages))
"""


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "600"])
    yield child
    child.kill()
    child.wait()


def waits(library: Path, tmp_path: Path, holder: int, does: str, since: str) -> list[str]:  # noqa: F811
    own = {"LD_LIBRARY_PATH": str(library), "PLAY": "leaves", "PLAY_FILE": str(tmp_path / "there"), "PLAY_HOLDER": str(holder)}
    env = {**{k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}, **own}
    text = WAITS.replace("DOES", does).replace("SINCE", since)
    ran = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_it_goes_on_as_soon_as_the_memory_is_there(
    library: Path,  # noqa: F811
    tmp_path: Path,
    holder: subprocess.Popen[bytes],
) -> None:
    first, *_, last = waits(library, tmp_path, holder.pid, "there.touch()", "0.0")
    assert first.startswith("waiting 8 s for memory: CUDA0 lacks 7,168 MiB right now: held by ")
    assert f"sleep (pid {holder.pid}) 22,528 MiB" in first
    assert last == "lacks 0"


def test_what_somebody_else_holds_for_long_is_not_waited_for(
    library: Path,  # noqa: F811
    tmp_path: Path,
    holder: subprocess.Popen[bytes],
) -> None:
    assert waits(library, tmp_path, holder.pid, "pass", "float('inf')") == ["lacks 1"]


def test_a_holder_that_has_ended_is_waited_for_and_it_can_be_called_off(
    library: Path,  # noqa: F811
    tmp_path: Path,
    holder: subprocess.Popen[bytes],
) -> None:
    holder.kill()
    holder.wait()
    first, last = waits(library, tmp_path, holder.pid, "cancel.set()", "float('inf')")
    assert f"(pid {holder.pid})" in first
    assert last == "lacks 1"
