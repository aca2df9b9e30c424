"""RAM that fills with use, RAM's margin, and what unasked slots cost."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram, parse_ram_margin
from kvtui.header.reader import Header
from kvtui.memory.estimate import checkpoint_bytes
from kvtui.model.load import model_from_header
from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.request import Request

MIB, GIB = 2**20, 2**30


def planned(headers: Mapping[str, Header], name: str, ram: str, margin: int = 0, **context: int) -> Plan:
    machine = Machine(parse_devices(("CUDA0=24GiB@900GB/s",)), parse_ram(ram))
    model = model_from_header(headers[name], name)
    return quick_plan(Request(model, replace(ContextParams(), **context), machine, ram_margin_bytes=margin))  # type: ignore[arg-type]


def told(plan: Plan, code: str) -> list[str]:
    return [f.message for f in plan.findings if f.code == code]


# gemma-3-27b: 52 blocks with a window of 1,024, 16 K/V heads of 128 f16 values
WINDOW_CELL = 52 * 2 * 16 * 128 * 2


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_checkpoint_holds_one_sequences_window(headers: Mapping[str, Header], slots: int) -> None:
    model = model_from_header(headers["gemma-3-27b-q4_k_m"], "gemma")
    context = ContextParams(n_ctx=65536, n_parallel=slots, kv_unified=True)
    assert checkpoint_bytes(model, context, 32) == 32 * slots * (1024 + 512) * WINDOW_CELL
    assert checkpoint_bytes(model, context, 0) == 0
    assert checkpoint_bytes(model, replace(context, swa_full=True), 32) == 0


def test_a_model_without_window_or_state_has_no_checkpoints(headers: Mapping[str, Header]) -> None:
    model = model_from_header(headers["llama-3.1-8b-q4_k_m"], "llama")
    assert checkpoint_bytes(model, ContextParams(n_ctx=65536), 32) == 0


def test_ceilings_are_shown_and_warned_of_where_ram_lacks_room(headers: Mapping[str, Header]) -> None:
    roomy = planned(headers, "gemma-3-27b-q4_k_m", "256GiB", n_ctx=16384)
    host = roomy.estimate.host
    assert host.prompt_cache_bytes == 8192 * MIB
    assert host.checkpoint_bytes == 32 * 4 * 1536 * WINDOW_CELL
    assert not told(roomy, "ceilings")
    tight = planned(headers, "gemma-3-27b-q4_k_m", "32GiB", n_ctx=16384)
    assert tight.fits  # a ceiling is never fatal
    (message,) = told(tight, "ceilings")
    assert "a prompt cache of up to 8,192 MiB and checkpoints of up to 79,872 MiB (32 for each of 4 slots)" in message
    assert "-cram " in message
    left = 32 * GIB - tight.estimate.host.used_bytes
    cram, ctxcp = (int(message.split(flag)[1].split()[0]) for flag in ("-cram ", "-ctxcp "))
    assert cram * MIB + ctxcp * 4 * 1536 * WINDOW_CELL <= left


def test_four_slots_that_nobody_asked_for_are_priced(headers: Mapping[str, Header]) -> None:
    (message,) = told(planned(headers, "gemma-3-27b-q4_k_m", "64GiB", n_ctx=16384), "slots-cost")
    assert message.startswith("4 slots, llama-server's own choice, cost ")
    cost = int(message.split("cost ")[1].split(" MiB")[0].replace(",", "")) * MIB
    assert cost >= 3 * 1024 * WINDOW_CELL  # windows of three more sequences
    assert not told(planned(headers, "gemma-3-27b-q4_k_m", "64GiB", n_ctx=16384, n_parallel=4), "slots-cost")
    assert not told(planned(headers, "llama-3.1-8b-q4_k_m", "64GiB", n_ctx=16384), "slots-cost")


def test_ram_has_a_margin(headers: Mapping[str, Header]) -> None:
    free = planned(headers, "gpt-oss-120b-mxfp4", "64GiB@60GB/s", n_ctx=8192, n_parallel=1)
    assert free.fits
    used = free.estimate.host.used_bytes
    kept = planned(headers, "gpt-oss-120b-mxfp4", "64GiB@60GB/s", margin=64 * GIB - used + GIB, n_ctx=8192, n_parallel=1)
    assert kept.request.ram_capacity == used - GIB
    assert not kept.fits


def test_found_ram_keeps_a_margin_and_described_ram_none() -> None:
    described = parse_ram("16GiB")
    assert parse_ram_margin(None, described, GIB) == 0
    assert parse_ram_margin(None, replace(described, simulated=False), GIB) == GIB
    assert parse_ram_margin("2GiB", described, GIB) == 2 * GIB
