"""Measurements are found again under their own conditions only."""

from dataclasses import replace
from pathlib import Path

from kvtui.server.measure.measured import Measurement, conditions, measurements, model_key, overhead, recall, remember

GPUS = (("CUDA0", "NVIDIA GeForce RTX 3090"), ("CUDA1", "NVIDIA GeForce RTX 3060"))
ARGV = ("-c", "32768", "-ngl", "62", "--port", "8080", "-ts", "30,32")
RUN = Measurement(
    "b11434",
    model_key("deepseek2", "Kimi K2", 10**11),
    GPUS,
    ARGV,
    at=100.0,
    compute_bytes={"CUDA0": 1428, "CUDA1": 944},
    overhead_bytes={"CUDA0": 456, "CUDA1": 130},
    peak_bytes={"CUDA0": 9000},
)


def test_flags_that_move_no_memory_do_not_matter() -> None:
    assert conditions(ARGV) == ("-c", "32768", "-ngl", "62", "-ts", "30,32")
    assert conditions(("-ts", "30,32", "--metrics", "-ngl", "62", "-c", "32768")) == conditions(ARGV)
    assert conditions(("-c", "-1", "-nkvo")) == ("-c", "-1", "-nkvo")


def test_found_again_on_another_port_not_in_another_build(tmp_path: Path) -> None:
    remember(RUN, tmp_path)
    other_port = ("-c", "32768", "-ngl", "62", "--port", "9999", "-ts", "30,32")
    found = recall("b11434", RUN.model, GPUS, other_port, tmp_path)
    assert found == replace(RUN, argv=conditions(ARGV))
    assert recall("b10434", RUN.model, GPUS, ARGV, tmp_path) is None
    assert recall("b11434", RUN.model, GPUS[:1], ARGV, tmp_path) is None
    assert recall("b11434", RUN.model, GPUS, ("-c", "65536", *ARGV[2:]), tmp_path) is None


def test_a_proof_and_the_highest_peak_are_kept(tmp_path: Path) -> None:
    proof = replace(RUN, peak_bytes={"CUDA0": 9500, "CUDA1": 10}, proven=True, prompt_tokens=32756)
    remember(proof, tmp_path)
    remember(replace(RUN, at=200.0), tmp_path)
    found = recall("b11434", RUN.model, GPUS, ARGV, tmp_path)
    assert found is not None
    assert (found.proven, found.prompt_tokens, found.at) == (True, 32756, 200.0)
    assert found.peak_bytes == {"CUDA0": 9500, "CUDA1": 10}
    assert len(measurements(tmp_path)) == 1


def test_overhead_of_a_kind_of_gpu(tmp_path: Path) -> None:
    remember(RUN, tmp_path)
    remember(replace(RUN, model="another/1/2", overhead_bytes={"CUDA0": 500}), tmp_path)
    assert overhead("NVIDIA GeForce RTX 3090", "b11434", tmp_path) == 500
    assert overhead("NVIDIA GeForce RTX 3060", "b11434", tmp_path) == 130
    assert overhead("NVIDIA GeForce RTX 3090", "b10434", tmp_path) is None


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    remember(RUN, tmp_path)
    (path,) = (tmp_path / "measurements").iterdir()
    for text in ("", "[]", "{", '{"schema": 99}'):
        path.write_text(text)
        assert measurements(tmp_path) == ()
        assert recall("b11434", RUN.model, GPUS, ARGV, tmp_path) is None
