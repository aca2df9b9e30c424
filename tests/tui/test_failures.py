"""What breaks is told: a job's error as one sentence on the screen, a handler's on one line after it, with a report."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtui.base.files import state_folder
from kvtui.placement.request import Request
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.picker.app import PickerApp
from kvtui.tui.session import Session
from kvtui.tui.themes import chosen_theme, load_themes
from tests.tui.waiting import until

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def session(**changes: object) -> Session:
    request = demo_request()
    given = {
        "path": None,
        "request": request,
        "machine": request.machine,
        "simulated": True,
        "demo": True,
        "build": request.build,
        **changes,
    }
    return Session(**given)  # type: ignore[arg-type]


def broken(*_: object, **__: object) -> object:
    raise RuntimeError(f"no such thing at https://me:{SECRET}@example.org/m.gguf?token={SECRET}")


def words(text: str) -> str:
    """What is said, without the frames around it."""
    return " ".join(text.translate(dict.fromkeys(map(ord, "│╰╯─"), " ")).split())


def reports() -> list[str]:
    files = list((state_folder() / "reports").iterdir())
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    return [file.read_text() for file in files]


def only_report() -> str:
    (report,) = reports()
    return report


SEEN = "RuntimeError: no such thing at https://example.org/m.gguf; report: "


@pytest.mark.parametrize("part", ["quick_plan", "iter_rows", "improve"])
async def test_a_planner_that_breaks_is_told_and_the_search_ends(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"kvtui.tui.work.planning.{part}", broken)
    app = KvtuiApp(session())
    async with app.run_test(size=(80, 24)) as pilot:
        # a llama-server that is found asks for the plan once more; panes are drawn one after the other
        await until(pilot, lambda: bool(app.state.binaries or app.state.declined))
        await until(pilot, lambda: "planning failed" in (text := app.screen_text()) and "searching" not in text)
        text = app.screen_text()
        assert f"planning failed: {SEEN}" in words(text)
        assert "improving" not in text
        assert ("no plan" in text) == (part == "quick_plan")
        for report in reports():
            assert "while: planning" in report
            assert "in answer" in report
            assert SECRET not in report + text
        monkeypatch.undo()
        await pilot.press("k")  # the next key is answered as if nothing had been
        await until(pilot, lambda: app.state.plan is not None and app.state.rows_complete)


async def test_a_plan_of_an_earlier_request_does_not_stay_beside_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app = KvtuiApp(session())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and bool(app.state.rows))
        monkeypatch.setattr("kvtui.tui.work.planning.quick_plan", broken)
        await pilot.press("k")
        await until(pilot, lambda: "planning failed" in app.screen_text())
        assert app.state.plan is None
        assert app.state.rows == ()


async def test_a_live_poll_that_breaks_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvtui.tui.work.live.host_memory", broken)
    app = KvtuiApp(session(simulated=False, demo=False))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading the memory in use failed" in words(app.screen_text()))
        assert SECRET not in only_report() + app.screen_text()


async def test_a_server_job_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvtui.tui.server.jobs.find_servers", broken)
    app = KvtuiApp(session())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "looking for llama-server failed" in words(app.screen_text()))
        assert "while: looking for llama-server" in only_report()
        assert pilot.app.is_running


def picker(places: tuple[object, ...], opener: Callable[[str], Request]) -> PickerApp:
    look = chosen_theme(load_themes()[0], None, {})
    return PickerApp(session(request=None), look, places, opener)  # type: ignore[arg-type]


async def test_a_picker_whose_opener_breaks_is_not_stuck() -> None:
    app = picker((), broken)  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(2):  # and may be asked again
            await pilot.press(*"/x.gguf", "enter")
            await until(pilot, lambda: f"opening the model failed: {SEEN}" in words(app.pane.text()))
            assert "reading the header" not in app.pane.text()
            await pilot.press("escape")
            await pilot.press("a", "escape")
        assert SECRET not in app.pane.text()


async def test_a_picker_whose_search_breaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvtui.tui.picker.app.shelf_models", broken)
    app = picker((), broken)  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: f"looking for models failed: {SEEN}" in words(app.pane.text()))
        assert "models, searching" not in app.pane.text()


async def test_a_handler_that_breaks_ends_the_app_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    app = KvtuiApp(session())
    monkeypatch.setattr(app, "next_theme", broken)

    async def press() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.state.plan is not None)
            await pilot.press("t")
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="no such thing"):
        await press()
    assert re.fullmatch(rf"the app failed: {re.escape(SEEN)}\S+\.txt", app.failure)
    assert "in _take_key" in only_report()
