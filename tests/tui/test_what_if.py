"""A card more, or one less, by a key: what changes is said, the screen is marked, and one key goes back."""

from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.placement.request import Pin
from kvtui.tasks.demo import demo_request
from kvtui.tasks.profiles import profiles
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.state import LiveMemory
from kvtui.tui.work.messages import LivePolled
from tests.tui.waiting import until


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KvtuiApp:
    """On a machine that is there (though it plays), with room for little."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    request = demo_request()
    cards = tuple(replace(d, simulated=False) for d in request.machine.devices[:2])
    request = replace(request, machine=replace(request.machine, devices=cards), pins=(Pin("blk.7.*exps", "CUDA1"),))
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=False, demo=True, unicode=True))


def flat(app: KvtuiApp) -> str:
    return " ".join(app.screen_text().split())


def answered(app: KvtuiApp) -> bool:
    return app.state.plan is not None and not app.state.working and app.state.rows_of == app.state.generation


async def test_a_card_more_says_what_changes_and_one_key_goes_back(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: answered(app) and app.state.rows_complete)
        assert "memory, simulated" not in flat(app)
        before = app.state.plan
        assert before is not None
        assert before.speed is not None
        await pilot.press("plus", *"3090", "enter")
        await until(pilot, lambda: answered(app) and app.state.rows_complete)
        assert [d.name for d in app.state.request.machine.devices] == ["CUDA0", "CUDA1", "CUDA2"]
        assert "memory, simulated" in flat(app)
        assert app.state.plan is not None
        assert app.state.plan.speed is not None
        assert app.state.plan.speed.tokens_per_second > before.speed.tokens_per_second
        said = f"{before.speed.tokens_per_second:,.1f} tokens a second -> {app.state.plan.speed.tokens_per_second:,.1f} tokens"
        assert "simulated, with RTX 3090 as CUDA2: largest context " in flat(app)
        assert said in flat(app)
        await pilot.press("k")  # what is asked besides stays
        await pilot.press("equals_sign")
        await until(pilot, lambda: answered(app))
        assert [d.name for d in app.state.request.machine.devices] == ["CUDA0", "CUDA1"]
        assert app.state.request.context.type_k != "f16"
        assert "simulated" not in flat(app)


async def test_a_card_less_takes_its_pins_along_and_undo_brings_all_back(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: answered(app))
        request = app.state.request
        await pilot.press("plus", *"- cuda1", "enter")
        await until(pilot, lambda: answered(app))
        assert [d.name for d in app.state.request.machine.devices] == ["CUDA0"]
        assert app.state.request.pins == ()
        assert "simulated, without CUDA1: " in flat(app)
        await pilot.press("u")
        assert app.state.request == request
        assert "simulated" not in flat(app)


async def test_a_supposed_machine_is_neither_launched_nor_kept_in_a_profile(app: KvtuiApp, tmp_path: Path) -> None:
    app.session = replace(app.session, path=tmp_path / "model.gguf")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: answered(app))
        await pilot.press("plus", *"A100", "enter")
        await until(pilot, lambda: answered(app))
        assert app.state.plan is not None
        await pilot.press("L")
        assert "this machine is simulated: its plan cannot be launched here" in flat(app)
        await pilot.press("P", "enter", *"mine", "enter")
        assert profiles()["mine"].options.margin is None
        assert app.state.here(app.state.request).machine == app.session.machine


async def test_figures_of_another_machine_are_passed_over_and_a_silent_driver_is_told(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: answered(app))
        here = app.state.request.machine.devices
        use = (LiveMemory(2**30), LiveMemory(2**30), LiveMemory(2**30))
        app.on_live_polled(LivePolled(here, use, "the graphics driver does not answer since 14:05"))
        await pilot.pause()
        assert "the graphics driver does not answer since 14:05" in flat(app)
        assert "everything goes to RAM" not in flat(app)
        await pilot.press("plus", *"3090", "enter")
        assert app.state.live == ()
        app.on_live_polled(LivePolled(here, use, ""))
        assert app.state.live == ()


async def test_as_it_is_on_the_machine_that_is_here(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: answered(app))
        await pilot.press("equals_sign")
        assert "this is the machine as it is: + supposes another" in flat(app)
        assert app.state.past == ()
