"""Which pair runs how on a whole machine, for models of the archive."""

import pytest

from kvtui.cache.support import build_number, support
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device
from kvtui.hardware.nvidia.nvml import Gpu, as_devices
from kvtui.model.spec import ModelSpec
from kvtui.tasks.demo import demo_request

GIB = 2**30


def device(name: str, capability: int | None = None) -> Device:
    return Device(name, 24 * GIB, 24 * GIB, compute_capability=capability)


def context(type_k: str, type_v: str, n_ctx: int = 32768) -> ContextParams:
    return ContextParams(n_ctx=n_ctx, type_k=type_k, type_v=type_v)


@pytest.fixture(scope="module")
def kimi() -> ModelSpec:
    return demo_request().model


def test_mla_copies_every_quantised_pair_and_says_where(kimi: ModelSpec) -> None:
    found = support(kimi, context("q8_0", "q8_0"), [device("CUDA0", 86), device("CUDA1", 89)])
    assert found.runs == "converted"
    assert found.because == "CUDA0: q8_0/q8_0 is copied to f16 at each token with heads of 576/512 with GQA 64 on CUDA"
    assert [name for name, _ in found.devices] == ["CUDA0", "CUDA1"]
    assert support(kimi, context("f16", "f16"), [device("CUDA0", 86)]).runs == "fast"


def test_the_worst_device_of_a_mixed_machine_decides_and_is_named(kimi: ModelSpec) -> None:
    found = support(kimi, context("q8_0", "q8_0"), [device("MTL0"), device("CUDA0", 86)])
    assert {name: r.runs for name, r in found.devices} == {"MTL0": "fast", "CUDA0": "converted"}
    assert (found.runs, found.because.partition(":")[0]) == ("converted", "CUDA0")


def test_without_devices_the_cpu_runs_every_pair(kimi: ModelSpec) -> None:
    found = support(kimi, context("iq4_nl", "iq4_nl"), [])
    assert (found.runs, [name for name, _ in found.devices]) == ("fast", ["CPU"])


def test_the_build_and_what_the_binary_compiled_reach_the_answer(kimi: ModelSpec) -> None:
    q5 = context("q5_1", "q5_1")
    assert support(kimi, q5, [device("CUDA0", 86)], build="b10644").runs == "cpu"
    assert support(kimi, q5, [device("CUDA0", 86)], build="b10644", fa_quants=("all",)).runs == "converted"
    assert support(kimi, q5, [device("CUDA0", 86)], build="b11434").runs == "converted"
    assert [build_number(b) for b in ("b10644", "10644", "")] == [10644, 10644, 11434]


def test_a_card_without_a_known_capability_is_assumed_and_the_sentence_says_so(kimi: ModelSpec) -> None:
    found = support(kimi, context("q8_0", "q8_0"), [device("CUDA0")])
    assert found.because.endswith("; compute capability unknown: 8.6 assumed")


def test_what_a_driver_tells_of_a_gpu_reaches_the_device() -> None:
    gpu = Gpu(0, "Tesla V100", None, None, 32 * GIB, 31 * GIB, GIB, None, None, None, None, None, compute_capability=70)
    assert [d.compute_capability for d in as_devices([gpu])] == [70]
