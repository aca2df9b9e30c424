"""The first run's hint, help of the pane one is in, and the theme: refused, chosen, remembered."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.run import run_app
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.waiting import until


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: HeaderArchive) -> Session:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("NO_COLOR", raising=False)
    machine = Machine(parse_devices(("2x3090",)), parse_ram("64GiB"))
    request = Request(load_model(headers.write("gemma3-dense", tmp_path)), ContextParams(n_ctx=32000), machine)
    return Session(path=None, request=request, machine=machine, simulated=True)


async def test_the_keys_that_matter_are_told_once(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "h halves the cache, C takes the largest context, L launches" in " ".join(
            app.screen_text().replace("│", " ").split()
        )
        await pilot.press("1")
        assert "the keys that matter" not in app.screen_text()
    again = KvtuiApp(session)
    async with again.run_test(size=(80, 24)):
        assert "the keys that matter" not in again.screen_text()


@pytest.mark.parametrize(("pane", "first"), [("2", "in the K/V table"), ("3", "in the map"), ("4", "in the log")])
async def test_help_begins_with_the_pane_one_is_in(session: Session, pane: str, first: str) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press(pane, "question_mark")
        assert app.screen_text().splitlines()[2].strip("│| ") == first


async def test_the_chosen_theme_is_the_next_runs(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "t")
        chosen = app.look.name
        assert f"theme: {chosen}" in app.screen_text()
    assert chosen != "dark"
    assert KvtuiApp(session).look.name == chosen
    assert KvtuiApp(replace(session, theme="light")).look.name == "light"


def test_a_theme_that_is_not_there_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TERM", "xterm-256color")
    with pytest.raises(UsageError, match=r"no theme 'lihgt' among .*; did you mean light\?"):
        run_app(replace(session, theme="lihgt"))


def test_a_dumb_terminal_gets_a_sentence(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TERM", "dumb")
    with pytest.raises(UsageError, match="kvtui plan MODEL prints the plan"):
        run_app(session)
