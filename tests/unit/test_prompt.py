"""A prompt's speed by what bounds it: posted runs against what is said of them, and each bound where it holds."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.arithmetic import families, family_of, operations_a_second
from kvtui.hardware.cards import expand_cards
from kvtui.hardware.device import HostMemory, Machine
from kvtui.model.load import model_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.prompt import Prompt, prompt_of
from kvtui.placement.request import Request
from tests.bench.prompts import ROWS, operations
from tests.header_archive import HeaderArchive

POSTED = json.loads(Path(ROWS).read_text(encoding="utf-8"))["rows"]


def test_posted_prompts_are_what_is_said_of_them() -> None:
    off = []
    for row in POSTED:
        (device,) = expand_cards(row["card"])
        assert family_of(device) == row["family"]
        rate = operations_a_second(device)
        assert rate is not None
        off.append(abs(rate / operations(row) / row["tok_s"] - 1))
    assert statistics.median(off) < 0.15
    assert max(off) < 0.45
    assert {row["family"] for row in POSTED} == families().keys()


def prompt(headers: HeaderArchive, card: str, layers_in_ram: bool = False, **context: int | bool) -> Prompt:
    """Of an 8B on one card."""
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "")
    machine = Machine(expand_cards(card), HostMemory(64 << 30, 64 << 30, bandwidth=60e9))
    asked = ContextParams(n_ctx=4096, n_parallel=1, **context)  # type: ignore[arg-type]
    plan = quick_plan(Request(model, asked, machine, margins=(1 << 30,)))
    assignment = plan.assignment
    if layers_in_ram:
        places = tuple(-1 if t.kind == "repeating" else d for t, d in zip(model.tensors, assignment.tensor_devices, strict=True))
        assignment = replace(assignment, tensor_devices=places)
    return prompt_of(model, asked, assignment, machine)


def test_a_card_is_bound_by_its_arithmetic(headers: HeaderArchive) -> None:
    """A 4090 was measured at 9,278 tokens a second of an 8B Q4_K, which reading alone would do at more than 80,000."""
    found = prompt(headers, "4090")
    assert (found.bound, found.at_least) == ("arithmetic", False)
    assert 7500 < 1 / found.seconds < 10500


def test_weights_in_ram_are_bound_by_the_link_and_larger_batches_cross_it_less_often(headers: HeaderArchive) -> None:
    small = prompt(headers, "4090", layers_in_ram=True, n_ubatch=256)
    large = prompt(headers, "4090", layers_in_ram=True, n_ubatch=2048)
    assert small.bound == "link"
    assert large.seconds < small.seconds / 3


@pytest.mark.parametrize("card", ["H200", "B580", "T4", "A100 SXM 80GB"])
def test_a_card_that_nobody_measured_is_bound_by_its_peak_and_said_to_be_slower(headers: HeaderArchive, card: str) -> None:
    (device,) = expand_cards(card)
    assert device.peak_operations is not None
    assert operations_a_second(device) is None
    found = prompt(headers, card)
    assert (found.bound, found.at_least) == ("arithmetic", True)
    assert found.least_seconds < found.seconds
    assert 1 / found.seconds < device.peak_operations / (2 * 6979321856)  # of the model's matrices


def test_a_card_of_unknown_arithmetic_is_bound_by_what_it_reads(headers: HeaderArchive) -> None:
    found = prompt(headers, "RX 9060 XT 16GB")
    assert (found.bound, found.at_least) == ("bandwidth", True)


@pytest.mark.parametrize(
    ("card", "least", "most"), [("2070 Super", 1500, 2200), ("V100 SXM2 32GB", 2400, 3400), ("3060 Laptop", 900, 1300)]
)
def test_cards_of_a_measured_family_are_no_bound(headers: HeaderArchive, card: str, least: int, most: int) -> None:
    found = prompt(headers, card)
    assert not found.at_least
    assert least < 1 / found.seconds < most
