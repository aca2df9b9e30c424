"""Buffers at many contexts: what is known between them is what the graph at each of them gives."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.compute import ComputeModel, Courses, Engine, Stretches
from kvtui.memory.compute.graphs import reach_of
from kvtui.memory.compute.shapes import shapes
from kvtui.model.load import model_from_header

MODELS = (
    "gemma-3-27b-q4_k_m",
    "more-gemma4",
    "qwen3-30b-a3b-q4_k_m",
    "llama-3.1-8b-q4_k_m",
    "deepseek2-moe",
    "granite-4.0-h-small-q4_k_m",
    "gpt-oss-moe",
    "qwen35moe-moe",
    "mamba2-dense",
)
REPEATED = ("gemma-3-27b-q4_k_m", "qwen3-30b-a3b-q4_k_m", "llama-3.1-8b-q4_k_m", "granite-4.0-h-small-q4_k_m", "gpt-oss-moe")
MACHINES = (("CUDA0=24GiB@936GB/s", "CUDA1=16GiB@448GB/s"), ("3090", "P100"))
PLACEMENTS = ((), ("-ngl", "3"), ("-ngl", "0"), ("-ot", r"blk\.[0-9]*[13]\.ffn_.*=CPU"), ("-ts", "1,3"))
SLOTS = ({}, {"n_parallel": 1}, {"n_parallel": 4, "kv_unified": False}, {"n_parallel": 2, "kv_unified": True})
ASKED = 24  # contexts a model
FAR = 1 << 18  # tokens


def _asked(rng: random.Random) -> ContextParams:
    types = list(CACHE_TYPES)
    return ContextParams(
        n_ctx=256 * rng.choice((rng.randint(1, 16), rng.randint(16, 256), rng.randint(100, FAR // 256))),
        type_k=rng.choice(types),
        type_v=rng.choice(types),
        n_ubatch=rng.choice((64, 512, 2048)),
        offload_kqv=rng.random() < 0.85,
        flash_attn=rng.choice(("auto", "on")),
        swa_full=rng.random() < 0.2,
        **rng.choice(SLOTS),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", MODELS)
def test_they_are_what_each_context_gives_by_itself(name: str, headers: Mapping[str, Header]) -> None:
    model, rng = model_from_header(headers[name], name), random.Random(name)
    machines = [Machine(parse_devices(devices), parse_ram("900GiB@60GB/s")) for devices in MACHINES]
    for _ in range(ASKED):
        context, machine, flags = _asked(rng), rng.choice(machines), parse_flags(rng.choice(PLACEMENTS))
        placement = assign(model, flags, machine)
        found = [ComputeModel(model, context, machine, engine=kind).bytes(placement) for kind in (Engine, Stretches, Courses)]
        assert found[1] == found[0], (context, flags)
        assert found[2] == found[0], (context, flags)


@pytest.mark.parametrize("name", REPEATED)
def test_most_are_known_between_two_contexts(name: str, headers: Mapping[str, Header]) -> None:
    model = model_from_header(headers[name], name)
    for n_ctx, type_k in ((4096, "f16"), (50176, "q4_0"), (FAR, "f32")):
        context = replace(ContextParams(), n_ctx=n_ctx, type_k=type_k, type_v=type_k)
        assert reach_of(model, shapes(model, context, True, True), tuple(range(model.n_layer))) is not None
