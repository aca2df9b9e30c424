"""RAM's bandwidth: measured, kept for this machine, and said to be missing where it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.cli.commands import cli
from kvtui.hardware.device import HostMemory
from kvtui.hardware.ram_speed import MEASURED_HERE, last_caches_bytes, read_bandwidth
from kvtui.placement.decode import Part, Work
from kvtui.placement.pace import calibrated_seconds, pace
from kvtui.tasks.ram_speed import FILE, keep_speed, with_kept_speed
from tests.bench.speeds import Machine
from tests.header_archive import HeaderArchive

GIB = 2**30
RAM = HostMemory(50 * GIB, 64 * GIB)


def test_what_is_measured_is_a_bandwidth_or_nothing() -> None:
    found = read_bandwidth(0.3)
    assert found is None or 1e8 < found < 1e13


def test_last_caches_count_once_for_the_cpus_that_share_them(tmp_path: Path) -> None:
    for cpu, (size, shared) in enumerate((("32768K", "0-1"), ("32768K", "0-1"), ("16384K", "2"))):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cache/index3"
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
        (folder / "shared_cpu_list").write_text(f"{shared}\n")
    assert last_caches_bytes(tmp_path) == 48 << 20


def test_a_measurement_is_kept_for_its_machine_alone(tmp_path: Path) -> None:
    assert with_kept_speed(RAM, tmp_path) == RAM
    keep_speed(RAM, 41e9, tmp_path)
    kept = with_kept_speed(replace(RAM, free_bytes=GIB), tmp_path)
    assert (kept.bandwidth, kept.bandwidth_source, kept.free_bytes) == (41e9, MEASURED_HERE, GIB)
    for other in (replace(RAM, total_bytes=32 * GIB), replace(RAM, simulated=True), replace(RAM, bandwidth=9e9)):
        assert with_kept_speed(other, tmp_path) == other
    wrong = {**json.loads((tmp_path / FILE).read_text()), "bandwidth": -1}
    (tmp_path / FILE).write_text(json.dumps(wrong))
    assert with_kept_speed(RAM, tmp_path) == RAM


def test_a_measured_bandwidth_says_the_speed_that_the_nominal_one_says() -> None:
    """Two channels of DDR4-3600 are 57.6 GB/s, and were measured as 40.3."""
    work = Work((Part(10e9, 0, 0, "fast", 0),), 0, 0, 0)
    nominal, measured = (
        calibrated_seconds(work, Machine((), replace(RAM, bandwidth=b, bandwidth_source=s)), pace())
        for b, s in ((57.6e9, "given"), (40.3e9, MEASURED_HERE))
    )
    assert measured == pytest.approx(nominal, rel=0.01)


def test_flags_that_read_ram_of_no_known_bandwidth_say_why_they_have_no_speed(
    headers: HeaderArchive, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(headers.write("llama-3.1-8b-q4_k_m", tmp_path))
    said = {}
    for ram in ("64GiB", "64GiB@50GB/s"):
        for layers in ("0", "99"):
            with pytest.raises(SystemExit):
                cli(["estimate", path, "--device", "CUDA0=22GiB@1008GB/s", "--ram", ram, "--json", "--", "-ngl", layers])
            found = json.loads(capsys.readouterr().out)
            said[ram, layers] = [f["message"] for f in found["findings"] if f["code"] == "no-ram-bandwidth"]
            assert (found["speed"] is None) == bool(said[ram, layers])
    assert [key for key, messages in said.items() if messages] == [("64GiB", "0")]
    assert "--ram SIZE@BANDWIDTH" in said["64GiB", "0"][0]


def test_a_plan_measures_ram_once(
    headers: HeaderArchive, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = str(headers.write("llama-3.1-8b-q4_k_m", tmp_path))
    ask = ["plan", path, "--device", "CUDA0=4GiB@1008GB/s", "-c", "4096", "--json"]
    with pytest.raises(SystemExit):
        cli(ask)
    first = capsys.readouterr()
    speed = json.loads(first.out)["speed"]
    assert "measuring RAM's bandwidth" in first.err
    assert (speed is None) == ("try again" in first.err)
    if speed is not None:
        with pytest.raises(SystemExit):
            cli(ask)
        again = capsys.readouterr()
        assert json.loads(again.out)["speed"] == speed
        assert not again.err
