"""What loads beside the model against loads of llama-server b11434 on CUDA: to the digit that it prints."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvtui.flags.beside import beside_argv
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Device, HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.memory.beside.files import Beside
from kvtui.memory.beside.loaded import BesideModel
from kvtui.memory.beside.projector import NO_TOKENS
from kvtui.memory.corrections import Learned
from kvtui.memory.estimate import estimate
from kvtui.model.load import model_from_header
from kvtui.model.projector import projector_from_header
from kvtui.placement.plan import quick_plan
from kvtui.placement.request import Request
from kvtui.placement.table import pair_rows

MIB = 2**20
PRINTED = 0.005 + 1e-6  # half of the last digit of "%8.2f MiB"
ROWS = [json.loads(x) for x in (Path(__file__).parents[1] / "data" / "beside-cuda.jsonl").read_text().splitlines()]
Headers = Mapping[str, Header]


@pytest.fixture(scope="module")
def known(headers: Headers, beside_headers: Headers) -> Headers:
    return {**{n: beside_headers[n] for n in beside_headers}, "llama-3.1-8b-q4_k_m": headers["llama-3.1-8b-q4_k_m"]}


def machine_of(*free_and_total_mib: tuple[int, int]) -> Machine:
    devices = tuple(Device(f"CUDA{i}", f * MIB, t * MIB) for i, (f, t) in enumerate(free_and_total_mib))
    return Machine(devices, HostMemory(1 << 40, 1 << 40))


def loaded(known: Headers, row: Mapping[str, Any], *more: str) -> tuple[BesideModel, Any]:
    flags = parse_flags((*row["flags"], *more))
    spec = model_from_header(known[row["model"]], row["model"], flags.context.spec_types)
    own = flags.beside
    draft = None if own.draft is None else model_from_header(known[own.draft], own.draft)
    projector = None if own.mmproj is None else projector_from_header(known[own.mmproj], own.mmproj)
    machine = machine_of(*row["devices_mib"])
    beside = BesideModel(Beside(own, draft, projector), spec, flags.context, machine, main=flags)
    return beside, assign(spec, flags, machine)


def said(row: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """MiB a device by the log, and of how many printed figures."""
    found: dict[str, tuple[float, int]] = {}
    buffers = [(name, x) for part in row.get("more", ()) for name, kinds in part.items() for x in kinds.values()]
    for name, n_mib in (*buffers, *row.get("projector", ())):
        device = name if name.startswith("CUDA") and name != "CUDA_Host" else "CPU"
        total, count = found.get(device, (0.0, 0))
        found[device] = (total + n_mib, count + 1)
    return found


@pytest.mark.parametrize("row", ROWS, ids=[f"{r['model']} x{len(r['devices_mib'])} {' '.join(r['flags'][4:])}" for r in ROWS])
def test_it_takes_what_the_load_took(known: Headers, row: dict[str, Any]) -> None:
    beside, assignment = loaded(known, row)
    taken = dict.fromkeys(said(row), 0.0)
    for part in beside.parts(assignment):
        name = "CPU" if part.device == CPU else beside.machine.devices[part.device].name
        taken[name] = taken.get(name, 0.0) + part.n_bytes / MIB
    wrong = {
        n: (taken[n], said(row).get(n)) for n in taken if abs(taken[n] - said(row).get(n, (0, 0))[0]) > PRINTED * said(row)[n][1]
    }
    assert wrong == {}


def test_an_image_of_fewer_tokens_than_it_must_have(known: Headers) -> None:
    row = next(r for r in ROWS if "mmproj-gemma-4-31b-f16" in r["flags"])
    findings = loaded(known, row, "--image-max-tokens", "69")[0].findings
    [refused] = [f for f in findings if f.code == NO_TOKENS]
    assert (refused.code, refused.severity) == ("projector-tokens", "error")
    assert "70 tokens at least and 69 at most" in refused.message
    for fine in (("70",), ("50", "--image-min-tokens", "10")):
        [other] = loaded(known, row, "--image-max-tokens", *fine)[0].findings
        assert other.code == "projector-width"  # the row's model is not the one that the projector was made for


def test_a_family_without_a_graph_of_its_mtp_context_says_so(headers: Headers, known: Headers) -> None:
    row = {"devices_mib": [[24105, 24576]], "flags": ["-c", "4096", "--spec-type", "draft-mtp"]}
    [found] = loaded(headers, {**row, "model": "mtp-cohere2moe-moe"})[0].findings
    assert (found.code, found.severity) == ("mtp-compute", "warning")
    assert "cohere2moe" in found.message
    assert loaded(known, {**row, "model": "mtp-glm-4.5-air"})[0].findings == ()


def test_limits_of_an_image_stay_in_the_flags_of_a_plan() -> None:
    flags = parse_flags(("--mmproj", "p.gguf", "--image-max-tokens", "100", "--image-min-tokens", "-1")).beside
    assert (flags.image_min_tokens, flags.image_max_tokens) == (0, 100)
    assert beside_argv(flags) == ("--mmproj", "p.gguf", "--image-max-tokens", "100")


def test_types_of_its_own_and_slots(known: Headers) -> None:
    row = ROWS[0]
    [on_device, in_ram] = loaded(known, row)[0].parts(loaded(known, row)[1])
    quantized, assignment = loaded(known, row, "-ctkd", "q8_0", "-ctvd", "q8_0", "-np", "4", "-kvu")
    [smaller, more_rows] = quantized.parts(assignment)
    assert smaller.cache_bytes * 32 == on_device.cache_bytes * 17  # q8_0: 34 bytes for 32 values
    assert more_rows.output_bytes == 4 * in_ram.output_bytes


def test_the_sums_have_it(known: Headers) -> None:
    row = ROWS[3]
    beside, assignment = loaded(known, row)
    memory = estimate(beside.model, beside.context, assignment, beside.machine, beside=beside)
    assert memory.devices[1].beside_bytes / MIB == pytest.approx(128 + 330.06, abs=PRINTED)
    for use in memory.devices:
        parts = (use.weights_bytes, use.cache_bytes, use.recurrent_bytes, use.compute_bytes, use.beside_bytes, use.overhead_bytes)
        assert use.used_bytes == sum(parts)
    assert memory.host.used_bytes - memory.host.beside_bytes == sum(
        (memory.host.weights_bytes, memory.host.cache_bytes, memory.host.recurrent_bytes, memory.host.compute_bytes)
    )


def test_a_plan_keeps_room_for_it(known: Headers) -> None:
    row = next(r for r in ROWS if "-md" in r["flags"] and len(r["devices_mib"]) == 2)
    beside, _ = loaded(known, row)
    request = Request(beside.model, beside.context, beside.machine, beside=beside.beside)
    plan, plain = quick_plan(request), quick_plan(replace(request, beside=Beside()))
    assert plan.fits
    for use, most in zip(plan.estimate.devices, request.capacities, strict=True):
        assert use.used_bytes <= most
    assert sum(d.beside_bytes for d in plan.estimate.devices) > 14_000 * MIB
    assert not any(d.beside_bytes for d in plain.estimate.devices)
    # the flags of the plan take what the plan says
    flags = parse_flags(plan.argv)
    again = BesideModel(beside.beside, beside.model, flags.context, beside.machine, main=flags)
    assert again.parts(assign(beside.model, flags, beside.machine)) == plan.estimate.beside


def test_rows_of_the_table_have_it(known: Headers) -> None:
    """Whatever the pair, what loads beside the model takes the same, and decides what fits."""
    row = next(r for r in ROWS if "-md" in r["flags"] and len(r["devices_mib"]) == 2)
    beside, _ = loaded(known, row)
    plan = quick_plan(Request(beside.model, beside.context, beside.machine, beside=beside.beside))
    taken = sum(d.beside_bytes for d in plan.estimate.devices)
    alone = replace(plan, request=replace(plan.request, beside=Beside()))
    for with_it, without in zip(pair_rows(plan, contexts=False), pair_rows(alone, contexts=False), strict=True):
        assert with_it.device_bytes - without.device_bytes == taken
    shown = next(
        r for r in pair_rows(plan, contexts=False) if r.pair == (plan.request.context.type_k, plan.request.context.type_v)
    )
    assert shown.device_bytes == sum(d.used_bytes for d in plan.estimate.devices)
    full = tuple(
        d.free_bytes - use.used_bytes for d, use in zip(plan.request.machine.devices, plan.estimate.devices, strict=True)
    )
    tight = replace(plan, request=replace(plan.request, margins=tuple(max(left, 0) for left in full)))
    tighter = replace(plan, request=replace(plan.request, margins=tuple(max(left, 0) + MIB for left in full)))
    assert [r.fits for p in (tight, tighter) for r in pair_rows(p, contexts=False) if r.pair == shown.pair] == [True, False]


def test_overhead_of_cards_until_this_machine_showed_its_own(known: Headers) -> None:
    spec = model_from_header(known["llama-3.1-8b-q4_k_m"], "llama")
    cards = (
        Device("RPC0[h:1]", 24000 * MIB, 24576 * MIB),
        Device("CUDA0", 12000 * MIB, 12288 * MIB, description="NVIDIA GeForce RTX 3060"),
        Device("CUDA1", 24000 * MIB, 24576 * MIB, description="NVIDIA GeForce RTX 4090"),
    )
    machine = Machine(cards, HostMemory(1 << 40, 1 << 40))
    flags = parse_flags(("-c", "4096", "-ts", "1,1,0"))
    plain = estimate(spec, flags.context, assign(spec, flags, machine), machine)
    assert [d.overhead_bytes // MIB for d in plain.devices] == [0, 136, 456]  # the last is opened, and holds nothing
    assert [d.growth_bytes // MIB for d in plain.devices] == [0, 62, 0]
    closed = parse_flags(("-c", "4096", "-dev", "RPC0[h:1],CUDA0"))
    assert estimate(spec, closed.context, assign(spec, closed, machine), machine).devices[2].overhead_bytes == 0
    shown = Learned(overhead_bytes=(0, 77 * MIB, 88 * MIB))
    told = estimate(spec, flags.context, assign(spec, flags, machine), machine, learned=shown)
    assert [d.overhead_bytes // MIB for d in told.devices][:2] == [0, 77]
