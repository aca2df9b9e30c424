"""The machine that options mean."""

import sys
from pathlib import Path

from kvtui.tasks.opening import machine_of
from kvtui.tasks.options import Options

MIB = 2**20
HELP = "-ctk,  --cache-type-k TYPE    K\n-ngl,  --n-gpu-layers N       layers\n--port PORT                   port\n"
# as llama-server b10434 prints it for Mesa's software device and a discrete card
LISTED = """Available devices:
  Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 23911 MiB free)
  Vulkan1: Intel(R) Arc(tm) B390 (37060 MiB, 47865 MiB free)
"""


def lister(path: Path) -> Path:
    """A program that answers as llama-server does, with two Vulkan devices."""
    answers = {"--help": HELP, "--version": "version: 10434 (abc1234)", "--list-devices": LISTED}
    path.write_text(
        f"#!{sys.executable}\nimport sys\nanswers = {answers!r}\n"
        "print(next((text for flag, text in answers.items() if flag in sys.argv), ''))\n"
    )
    path.chmod(0o755)
    return path


def test_devices_that_only_llama_server_sees_are_asked_of_the_one_that_was_named(tmp_path: Path) -> None:
    server = lister(tmp_path / "llama-server")
    machine = machine_of(Options(llama_server=str(server)))
    assert [(d.name, d.free_bytes // MIB, d.total_bytes // MIB) for d in machine.devices] == [
        ("Vulkan0", 23911, 24560),
        ("Vulkan1", 47865, 37060),
    ]
    assert machine.devices[0].description == "AMD Radeon RX 7900 XTX (RADV NAVI31)"


def test_described_devices_stand_for_all_that_is_here(tmp_path: Path) -> None:
    server = lister(tmp_path / "llama-server")
    machine = machine_of(Options(llama_server=str(server), device=("CUDA0=8GiB",), ram="16GiB"))
    assert [d.name for d in machine.devices] == ["CUDA0"]
