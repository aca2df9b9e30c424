"""Every command by letters of its name, and other keys for them by a config."""

import json
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.tasks.config import keys_of
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.keys.command import PAGE
from kvtui.tui.keys.commands import COMMANDS
from kvtui.tui.keys.palette import found
from kvtui.tui.keys.rebinding import rebound
from kvtui.tui.session import Session
from tests.tui.waiting import until


def demo(keys: dict[str, str] | None = None) -> KvtuiApp:
    request = demo_request()
    commands = rebound(COMMANDS, keys or {})
    return KvtuiApp(
        Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True, commands=commands)
    )


def rows(app: KvtuiApp) -> list[str]:
    return [text.strip("│ ") for text in app.screen_text().splitlines()[2:-1] if text.strip("│ ")]


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_letters_find_a_command_and_enter_runs_it(key: str) -> None:
    app = demo()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press(key)
        assert len(rows(app)) >= 20
        await pilot.press(*"hlf")
        assert rows(app)[0].startswith("> h      half the cache")
        await pilot.press("enter")
        assert app.state.request.context.type_k == "q8_0"
        assert "2 K/V cache" in app.screen_text()


async def test_what_does_not_act_here_says_why_and_stays(tmp_path: Path) -> None:
    app = demo()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press("colon", *"stop", "enter")
        assert "stop the server is of no use now: no server runs" in app.screen_text()
        await pilot.press(*["backspace"] * 4, *"unpin", "enter")
        assert "unpin acts in the map" in app.screen_text()
        await pilot.press(*["backspace"] * 5, *"qqqq", "enter")
        assert "no command is like that" in app.screen_text()
        await pilot.press("escape")
        assert "2 K/V cache" in app.screen_text()
        assert app.state.past == ()


def test_every_command_is_found_by_its_name_and_its_key() -> None:
    for command in COMMANDS:
        if command.pane != PAGE:
            assert command.name in [c.name for c in found(COMMANDS, command.name)[:2]]
    assert found(COMMANDS, "h")[0].name == "half the cache"
    assert next(c.name for c in found(COMMANDS, "ctx")) in ("context", "largest context")
    assert found(COMMANDS, "units of systemd") == []


async def test_a_config_gives_a_command_another_key(tmp_path: Path) -> None:
    config = tmp_path / "kvtui.json"
    config.write_text(json.dumps({"keys": {"half": "H", "next V type": "Q", "help": "F9"}}))
    app = demo(keys_of(str(config)))
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        assert "H half" in app.screen_text()
        assert "k/Q types" in app.screen_text()
        assert "F9 help" in app.screen_text()
        await pilot.press("h")
        assert app.state.request.context.type_k == "f16"
        await pilot.press("H")
        assert app.state.request.context.type_k == "q8_0"
        await pilot.press("f9")
        assert "  H     half the cache" in app.screen_text()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"haff the cache": "H"}, "no command 'haff the cache'; did you mean 'half the cache'?"),
        ({"next": "H"}, "did you mean"),
        ({"half": "k"}, "k would be both 'next K type' and 'half the cache'"),
        ({"half": "left"}, "Left would be both 'half the cache' and 'block before'"),
        ({"half": "Hh"}, "'Hh' is no key"),
        ({"half": ""}, "'' is no key"),
        ({"half": "Esc"}, "Esc always closes, takes or leaves"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        rebound(COMMANDS, keys)
    assert said in str(refused.value)


def test_two_commands_may_change_places() -> None:
    names = {c.key: c.name for c in rebound(COMMANDS, {"half": "C", "largest": "h"})}
    assert (names["C"], names["h"]) == ("half the cache", "largest context")
