"""Mutants of real headers: whatever is in a file, reading it is one sentence or a model, in steps that its length bounds."""

import random
import struct
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest
from chain import FILE_BYTES, MACHINE, end_of
from header_archive import HeaderArchive
from mutants import CHANGES, cut
from odd_headers import CASES, U32, Case, parsed

from kvtui.base.findings import KvtuiError
from kvtui.cache.layout import cache_layout
from kvtui.flags.context import ContextParams
from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes
from kvtui.memory.refusals import refusals
from kvtui.model.load import model_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request

MUTANTS = 6000
# Calls of functions, generators' steps and built-ins. What a block number, a count or a dimension claims is no length of
# the file: reading must not take steps by it.
STEPS_A_BYTE = 2
FIXED_STEPS = 50_000  # 512 blocks, the most there can be, of a hundred steps


def _judged(data: bytes, spec_types: tuple[str, ...]) -> str:
    """Why it cannot be read; "" for a model."""
    context = ContextParams(n_ctx=512)
    try:
        model = model_from_header(read_header(HeaderBytes(data, 2**40)), "x", spec_types)
        if not any(f.severity == "error" for f in refusals(model, context)):
            cache_layout(model, context)
    except KvtuiError as e:
        return str(e)
    return ""


def _counted(work: Callable[[], str]) -> tuple[str, int]:
    """What it says, and the steps it took."""
    steps = 0

    def step(frame: FrameType, event: str, arg: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(step)
    try:
        said = work()
    finally:
        sys.setprofile(None)
    return said, steps


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_mutant_is_one_sentence_or_a_model(headers: HeaderArchive, change: Callable[[random.Random, bytes], bytes]) -> None:
    rng = random.Random(change.__name__)
    names = [name for name in headers if len(headers.head(name)) < 30_000]
    read = 0
    for i in range(MUTANTS // len(CHANGES)):
        name = rng.choice(names)
        data = change(rng, headers.head(name))
        spec_types = rng.choice(((), ("draft-mtp",)))
        said, steps = _counted(partial(_judged, data, spec_types))
        read += not said
        assert "\n" not in said, (i, name)
        assert steps <= FIXED_STEPS + STEPS_A_BYTE * len(data), (i, name, steps, len(data))
    assert read > 0 or change is cut


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_refused_is_planned_to_its_end(case: Case) -> None:
    head, _ = case.make().head()
    try:
        model = model_from_header(read_header(HeaderBytes(head, FILE_BYTES)), "x")
    except KvtuiError:
        return  # one sentence: see above
    plan = quick_plan(Request(model, ContextParams(n_ctx=512, n_parallel=1), MACHINE))
    assert all("\n" not in f.message for f in plan.findings)
    assert any(f.severity == "error" for f in plan.findings) or case.taken


def _keyed(headers: HeaderArchive, name: str, key: str, value: int) -> bytes:
    return parsed(headers.head(name)).key(key, U32, value).head()[0]


def test_heads_without_values_come_to_an_end(headers: HeaderArchive) -> None:
    """0 is a multiple of everything: a search for the largest power of two that divides it would never end."""
    for key in ("attention.key_length", "attention.value_length"):
        assert end_of(_keyed(headers, "more-bitnet", f"bitnet.{key}", 0))[0] in ("sentence", "estimate", "plan")


@pytest.mark.parametrize("kind", [8, 9], ids=["a string", "an array"])
def test_a_keys_line_breaks_break_no_sentence(kind: int) -> None:
    key = b"two\nlines\x1b[31m\xe2\x80\xae" + b"y" * 40_000
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    end, said = end_of(start + struct.pack("<IIQ", kind, 8, 2**60))
    assert end == "sentence"
    assert said.isprintable()
    assert len(said) < 10_000


@pytest.mark.parametrize("name", ["more-bitnet", "gemma3-dense", "llama-dense", "falcon-dense"])
@pytest.mark.parametrize("key", ["head_count_kv", "head_count"])
def test_no_heads_end_as_a_sentence(name: str, key: str, headers: HeaderArchive) -> None:
    architecture = name.removeprefix("more-").removesuffix("-dense")
    assert end_of(_keyed(headers, name, f"{architecture}.attention.{key}", 0))[0] in ("sentence", "estimate", "plan")


def test_a_weight_without_dimensions_comes_to_an_end(headers: HeaderArchive) -> None:
    for name in ("more-rwkv6qwen2", "mamba-dense", "more-bitnet"):
        for changed in range(len(parsed(headers.head(name)).tensors)):
            g = parsed(headers.head(name))
            g.tensors[changed].dims = []
            assert end_of(g.head()[0])[0] in ("sentence", "estimate", "plan")


def test_a_missing_tensor_is_a_sentence_or_a_plan_that_is_refused(headers: HeaderArchive) -> None:
    for name in ("more-rwkv6qwen2", "more-arwkv7", "mamba-dense"):
        for lost in range(len(parsed(headers.head(name)).tensors)):
            g = parsed(headers.head(name))
            del g.tensors[lost]
            assert end_of(g.head()[0])[0] in ("sentence", "estimate", "plan")
