"""Plans: within memory, expressible as flags, near the bound; checked on the bundled model and a small dense one."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.base.findings import DOES_NOT_FIT
from kvtui.flags.context import ContextParams
from kvtui.flags.read import parse_flags
from kvtui.hardware.device import CPU, Device, HostMemory, Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.header.reader import Header
from kvtui.memory.assign import assign
from kvtui.model.load import model_from_header
from kvtui.placement.as_flags import names_pattern, number_pattern
from kvtui.placement.plan import Plan, make_plan, quick_plan
from kvtui.placement.request import Pin, Request
from kvtui.placement.table import pair_rows
from kvtui.report.as_json import plan_json
from kvtui.report.configuration import configuration, configuration_lines
from kvtui.tasks.demo import demo_machine, demo_request


@pytest.fixture(scope="module")
def demo_plan() -> Plan:
    return quick_plan(demo_request())


def test_no_device_is_over(demo_plan: Plan) -> None:
    request = demo_plan.request
    assert demo_plan.fits
    for use, capacity in zip(demo_plan.estimate.devices, request.capacities, strict=True):
        assert 0 < use.used_bytes <= capacity
    assert demo_plan.estimate.host.used_bytes <= request.machine.ram.free_bytes


def test_flags_mean_what_the_plan_says(demo_plan: Plan) -> None:
    request = demo_plan.request
    flags = parse_flags(demo_plan.argv)
    assert flags.context == replace(request.context, kv_unified=False)
    assert assign(request.model, flags, request.machine) == demo_plan.assignment


def test_the_plan_is_near_the_bound(demo_plan: Plan) -> None:
    assert demo_plan.optimality.gap < 0.005


def test_the_same_request_gives_the_same_plan(demo_plan: Plan) -> None:
    assert quick_plan(demo_request()).argv == demo_plan.argv


def test_attention_goes_to_the_fast_cards_and_experts_fill_the_rest(demo_plan: Plan) -> None:
    assert set(demo_plan.assignment.layer_devices) <= {0, 1}
    places = set(demo_plan.assignment.tensor_devices)
    assert places == {CPU, 0, 1, 2, 3}


def small_request(devices: tuple[str, ...], ram: str = "64GiB@60GB/s", **context: object) -> Request:
    request = demo_request()
    machine = Machine(parse_devices(devices), parse_ram(ram))
    return Request(request.model, replace(ContextParams(n_ctx=4096, n_parallel=1), **context), machine)  # type: ignore[arg-type]


def test_what_cannot_fit_says_what_lacks() -> None:
    plan = quick_plan(small_request(("CUDA0=8GiB@900GB/s",)))
    assert not plan.fits
    message = next(f.message for f in plan.findings if f.code == DOES_NOT_FIT)
    assert re.search(r"RAM lacks [\d,]+ MiB", message)


@pytest.mark.parametrize("devices", [(), ("CUDA0=1MiB",), ("CUDA0=512MiB",)])
def test_no_useful_device_is_all_in_ram(devices: tuple[str, ...]) -> None:
    plan = quick_plan(small_request(devices, ram="700GiB"))
    assert plan.fits
    assert set(plan.assignment.layer_devices) == {CPU}
    assert plan.argv[plan.argv.index("-ngl") + 1] == "0"


def test_an_excluded_device_is_not_opened() -> None:
    request = replace(demo_request(), excluded=("CUDA1",))
    plan = quick_plan(request)
    assert plan.argv[plan.argv.index("-dev") + 1] == "CUDA0,CUDA2,CUDA3"
    assert len(plan.argv[plan.argv.index("-ts") + 1].split(",")) == 3
    assert plan.estimate.devices[1].used_bytes == 0
    assert plan.fits
    flags = parse_flags(plan.argv)
    assert assign(request.model, flags, request.machine) == plan.assignment


def test_one_device_of_two_needs_no_split() -> None:
    request = replace(small_request(("CUDA0=24GiB@900GB/s", "CUDA1=24GiB@900GB/s"), ram="700GiB"), excluded=("CUDA0",))
    plan = quick_plan(request)
    assert plan.argv[plan.argv.index("-dev") + 1] == "CUDA1"
    assert "-ts" not in plan.argv
    assert set(plan.assignment.layer_devices) <= {CPU, 1}
    assert assign(request.model, parse_flags(plan.argv), request.machine) == plan.assignment


def test_all_devices_excluded_is_none() -> None:
    request = replace(small_request(("CUDA0=24GiB",), ram="700GiB"), excluded=("CUDA0",))
    plan = quick_plan(request)
    assert plan.argv[plan.argv.index("-dev") + 1] == "none"
    assert assign(request.model, parse_flags(plan.argv), request.machine) == plan.assignment


def test_a_device_whose_margin_leaves_nothing_is_not_opened() -> None:
    request = small_request(("CUDA0=24GiB@900GB/s", "CUDA1=900MiB/24GiB@900GB/s"), ram="700GiB")
    plan = quick_plan(request)
    assert plan.argv[plan.argv.index("-dev") + 1] == "CUDA0"


def test_all_of_several_devices_excluded_is_ram_for_the_solver_too(headers: Mapping[str, Header]) -> None:
    """A tied output has no bytes of its own: it would find room on a device that holds nothing."""
    model = model_from_header(headers["gemma3-dense"], "gemma")
    devices = tuple(Device(f"CUDA{i}", 2**31, 2**31, bandwidth=9e11) for i in range(2))
    machine = Machine(devices, HostMemory(2**33, 2**33, bandwidth=5e10))
    context = ContextParams(n_ctx=1024, n_parallel=1)
    made = make_plan(Request(model, context, machine, excluded=("CUDA0", "CUDA1")))
    assert set(made.assignment.layer_devices) == {CPU}
    assert made.argv[made.argv.index("-dev") + 1] == "none"


def test_a_pin_on_an_excluded_device_is_an_error() -> None:
    plan = quick_plan(replace(demo_request(), excluded=("CUDA1",), pins=(Pin("exps", "CUDA1"),)))
    assert any("CUDA1 is excluded: drop the pin or --exclude CUDA1" in f.message for f in plan.findings)
    assert not plan.fits


def test_a_pin_is_kept() -> None:
    request = replace(demo_request(), pins=(Pin(r"^blk\.30\.ffn_.*_exps", "CUDA3"),))
    plan = quick_plan(request)
    pinned = [t.index for t in request.model.tensors if t.block == 30 and t.expert]
    assert {plan.assignment.tensor_devices[i] for i in pinned} == {3}
    assert plan.fits


@pytest.mark.parametrize(
    ("pins", "severity", "message"),
    [
        ((Pin("(", "CUDA0"),), "error", "not a regular expression"),
        ((Pin("exps", "CUDA9"),), "error", "CUDA9 is no device here"),
        ((Pin("nothing-like-it", "CUDA0"),), "warning", "matches no tensor"),
        ((Pin(r"blk\.1\.ffn", "CUDA0"), Pin(r"ffn_up_exps", "CPU")), "error", r"kept on CUDA0 by pin blk\\.1\\.ffn"),
    ],
)
def test_pins_that_cannot_be_are_told_beside_a_plan(pins: tuple[Pin, ...], severity: str, message: str) -> None:
    plan = quick_plan(replace(demo_request(), pins=pins))
    assert [f.severity for f in plan.findings if re.search(message, f.message)] == [severity]
    assert plan.fits == (severity != "error")


def test_nothing_in_ram_is_refused_where_the_devices_are_too_small() -> None:
    plan = quick_plan(replace(demo_request(), no_ram=True))
    assert not plan.fits
    assert any("have no room on the devices and may not go to RAM" in f.message for f in plan.findings)


def test_a_smaller_physical_batch_is_taken_only_where_it_decides() -> None:
    request = small_request(("CUDA0=24GiB@900GB/s",), ram="700GiB@60GB/s", n_ctx=65536, n_ubatch=4096, n_batch=4096)
    wide = quick_plan(request)
    assert "-ub" in wide.argv
    assert wide.argv[wide.argv.index("-ub") + 1] == "4096"
    everything = wide.estimate.devices[0].used_bytes + wide.estimate.host.used_bytes
    tight = replace(request.machine, ram=HostMemory(everything - 23 * 2**30 - 2**30, 700 * 2**30, bandwidth=60e9))
    narrow = quick_plan(replace(request, machine=tight))
    assert narrow.fits
    assert int(narrow.argv[narrow.argv.index("-ub") + 1]) < 4096
    assert any(f.code == "ubatch-reduced" for f in narrow.findings)


def test_the_solver_is_no_worse_than_the_search() -> None:
    first = quick_plan(demo_request())
    asked = iter([False] * 40)
    better = make_plan(demo_request(), should_stop=lambda: next(asked, True))
    assert better.fits
    assert better.speed is not None
    assert first.speed is not None
    assert better.speed.tokens_per_second >= first.speed.tokens_per_second * (1 - 1e-9)


def test_table_of_an_mla_model_has_equal_types_only(demo_plan: Plan) -> None:
    rows = pair_rows(demo_plan, contexts=False)
    assert all(r.type_k == r.type_v and r.accepted for r in rows)
    by_type = {r.type_k: r for r in rows}
    assert by_type["f16"].cache_bytes == 61 * 132096 * 576 * 2
    assert by_type["q8_0"].cache_bytes == 61 * 132096 * 576 * 34 // 32
    assert by_type["q8_0"].saved_fraction == pytest.approx(0.46875)


def test_all_pairs_of_an_mla_model_are_refused_where_they_differ(demo_plan: Plan) -> None:
    rows = pair_rows(demo_plan, all_pairs=True, contexts=False)
    assert len(rows) == 81
    assert [r.accepted for r in rows] == [r.type_k == r.type_v for r in rows]


def test_without_a_context_the_largest_that_fits_is_taken() -> None:
    request = replace(demo_request(), context=ContextParams(n_parallel=1))
    plan = quick_plan(request)
    assert plan.request.context.n_ctx == 131072
    tight = Machine(demo_machine().devices, HostMemory(650 * 2**30, 700 * 2**30, bandwidth=200e9))
    smaller = quick_plan(replace(request, machine=replace(tight, devices=tight.devices[2:3])))
    assert smaller.fits
    chosen = smaller.request.context.n_ctx
    assert chosen % 256 == 0 or chosen == 131072


@pytest.mark.parametrize(
    "numbers",
    [[3], [0, 1, 2], [8, 9, 10, 11], [1, 3, 5], list(range(61)), [7, 17, 27], [99, 100, 101, 110], [10, 12, 13, 14, 19]],
)
def test_numbers_fold_into_one_exact_pattern(numbers: list[int]) -> None:
    pattern = re.compile(rf"^blk\.{number_pattern(numbers)}\.x$")
    assert [n for n in range(200) if pattern.match(f"blk.{n}.x")] == numbers


def test_names_fold() -> None:
    names = ("ffn_down_exps.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight")
    pattern = names_pattern(names)
    assert pattern == r"ffn_(down|gate|up)_exps\.weight"
    assert all(re.fullmatch(pattern, n) for n in names)


def test_the_current_configuration_adds_up(demo_plan: Plan) -> None:
    block = configuration(demo_plan)
    devices = demo_plan.estimate.devices
    assert (block.context, block.type_k, block.type_v, block.gpus) == (132000, "f16", "f16", 4)
    assert block.reserved_bytes == sum(d.cache_bytes + d.recurrent_bytes + d.compute_bytes + d.overhead_bytes for d in devices)
    assert block.reserved_bytes + block.available_bytes == sum(demo_plan.request.capacities)
    assert block.available_bytes >= sum(d.weights_bytes for d in devices)
    assert configuration_lines(block)[1:3] == ["- Context: 132,000 tokens", "- K/V cache: f16/f16"]
    assert plan_json(demo_plan, "x", {})["configuration"]["gpus"] == 4
