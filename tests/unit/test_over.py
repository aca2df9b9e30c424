"""A dry run that is over free minus margin is told by how many MiB on which device, whatever was predicted."""

from dataclasses import replace

from kvtui.placement.plan import quick_plan
from kvtui.server.log.breakdown import MIB, Parts
from kvtui.server.measure.dry_run import DryRun
from kvtui.server.measure.over import DIFFERS, OVER, over_findings
from kvtui.tasks.checking import CHECKED, REFUSED, with_answer
from kvtui.tasks.demo import demo_request

PLAN = quick_plan(demo_request())
ROOMS = PLAN.request.capacities


def said(*more: int) -> DryRun:
    """A dry run that has `more` MiB than is predicted on the first devices."""
    devices = {}
    for i, (device, use) in enumerate(zip(PLAN.request.machine.devices, PLAN.estimate.devices, strict=True)):
        extra = more[i] * MIB if i < len(more) else 0
        devices[device.name] = Parts(use.weights_bytes, use.cache_bytes + use.recurrent_bytes, use.compute_bytes + extra)
    return DryRun("b11434", devices=devices)


def found(answer: DryRun) -> dict[str, str]:
    request = PLAN.request
    return {f.code: f.message for f in over_findings(request.machine, request.margin_bytes, PLAN.estimate, answer)}


def test_the_device_and_the_mib_are_named() -> None:
    use, name = PLAN.estimate.devices[0], PLAN.request.machine.devices[0].name
    spare = ROOMS[0] - (use.weights_bytes + use.cache_bytes + use.recurrent_bytes + use.compute_bytes + use.beside_bytes)
    over = found(said(-(-spare // MIB) + 100))[OVER]
    assert over.startswith((f"{name} is over by 100 MiB", f"{name} is over by 101 MiB"))
    assert OVER not in found(said(spare // MIB))


def test_a_small_difference_is_nobodys_business_a_large_one_is_told_with_both_figures() -> None:
    assert found(said(64)) == {}
    assert found(said(-65)).keys() == {DIFFERS}
    assert "a load reserves its compute buffers in another way" in found(said(-65))[DIFFERS]


def test_an_expert_cache_is_what_a_dry_run_calls_context() -> None:
    request, cached = PLAN.request, 200 * MIB
    predicted = replace(PLAN.estimate, devices=tuple([replace(u, expert_cache_bytes=cached) for u in PLAN.estimate.devices]))
    plain = said().devices
    answer = replace(said(), devices={name: replace(x, context=x.context + cached) for name, x in plain.items()})
    assert DIFFERS not in {f.code for f in over_findings(request.machine, request.margin_bytes, predicted, answer)}
    assert DIFFERS in {f.code for f in over_findings(request.machine, request.margin_bytes, predicted, said())}


def test_a_plan_that_is_over_or_refused_does_not_fit() -> None:
    assert with_answer(PLAN, said()).fits
    assert with_answer(PLAN, said()).findings[-1].code == CHECKED
    over = with_answer(PLAN, said(100_000))
    assert not over.fits
    refused = with_answer(PLAN, replace(said(), refused="out of luck"))
    assert not refused.fits
    assert refused.refused
    assert refused.findings[-1].code == REFUSED
    assert with_answer(PLAN, DryRun("b11434", impossible="it has no --fit")).fits
