"""The table of commands: each exists, does something, and has a key of its own; keys act on what is in front."""

from dataclasses import replace

import pytest

from kvtui.server.log.lines import LogLine
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.keys.command import EVERYWHERE, PAGE, Command
from kvtui.tui.keys.commands import COMMANDS, command_for
from kvtui.tui.session import Session
from kvtui.tui.state import State
from tests.tui.waiting import until

# what has to be there before a key can do something: keys pressed before it
BEFORE = {
    "up": ["down"],
    "left": ["right"],
    "n": ["3", "p", "p"],
    "minus": ["p"],
    "u": ["k"],
    "r": ["k", "u"],
    "2": ["1"],
    "f1": ["f2"],
    "escape": ["z"],
    "pagedown": ["pageup"],
}
TO_FRONT = {"memory": ["1"], "kv": ["2"], "placement": ["3"], "log": ["4"], PAGE: ["question_mark"], EVERYWHERE: []}


@pytest.fixture
def app() -> KvtuiApp:
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def page_text(app: KvtuiApp) -> str:
    """The page in front: what stands between the head and the footer."""
    return "\n".join(app.screen_text().splitlines()[1:-1])


def named(command: Command) -> str:
    return f"{command.pane or 'everywhere'}-{command.key}"


def what_a_person_did(state: State) -> State:
    """The state without what workers make of it in their own time."""
    return replace(state, plan=None, rows=(), rows_of=0, rows_complete=False, working="", build="", binaries=())


@pytest.mark.parametrize("command", COMMANDS, ids=named)
async def test_every_command_does_something_by_its_key(app: KvtuiApp, command: Command) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and bool(app.state.rows))
        log = app.state.log.with_new([LogLine(i, "info", f"line {i}") for i in range(1, 60)])
        app.become(replace(app.state, log=log))
        before_it = BEFORE.get(command.key, [])
        if command.pane == PAGE:
            before_it = {"up": ["down"], "pageup": ["pagedown"], "home": ["end"]}.get(command.key, [])
        await pilot.press(*TO_FRONT[command.pane], *before_it)
        assert command_for(command.key, app.state.front) is command
        before = (what_a_person_did(app.state), app.look.name)
        await pilot.press(command.key)
        assert (what_a_person_did(app.state), app.look.name) != before or not app.is_running


def test_no_two_commands_share_a_key_in_a_pane() -> None:
    panes = {c.pane for c in COMMANDS} - {EVERYWHERE, PAGE}
    for pane in panes:
        keys = [c.key for c in COMMANDS if c.pane in (pane, EVERYWHERE)]
        assert sorted(keys) == sorted(set(keys)), pane
    keys = [c.key for c in COMMANDS if c.pane == PAGE]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("key", ["question_mark", "e", "y"])
async def test_no_key_passes_behind_an_open_page(app: KvtuiApp, key: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and app.state.rows_complete)
        await pilot.press(key)
        page = page_text(app)
        request, behind = app.state.request, what_a_person_did(app.state)
        await pilot.press(*(c.key for c in COMMANDS if c.pane != PAGE and c.key not in PAGE_KEYS))
        assert page_text(app) == page
        assert app.state.request is request
        assert what_a_person_did(app.state) == behind
        await pilot.press("escape")
        assert "2 K/V cache" in app.screen_text()


PAGE_KEYS = {c.key for c in COMMANDS if c.pane == PAGE}


async def test_q_closes_a_page_before_it_quits(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("question_mark")
        await until(pilot, lambda: "2 K/V cache" not in app.screen_text())
        await pilot.press("q")
        await until(pilot, lambda: "2 K/V cache" in app.screen_text())
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


@pytest.mark.parametrize("pane", ["1", "3", "4"])
async def test_arrows_change_the_pair_in_the_tables_pane_alone(app: KvtuiApp, pane: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press(pane, "down", "down", "up", "down")
        assert app.state.request.context.type_k == "f16"
        await pilot.press("2", "down")
        assert app.state.request.context.type_k != "f16"


async def test_left_and_right_move_in_the_map_alone(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("right", "right")
        assert app.state.cursor == 0
        assert app.state.focus == "kv"
        await pilot.press("3", "right", "right")
        assert "block 2" in app.screen_text()


async def test_a_focused_map_is_seen_where_the_log_was(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("4")
        assert "4 log" in app.screen_text()
        await pilot.press("3", "right")
        assert "3 placement" in app.screen_text()
        assert "block 1" in app.screen_text()
        await pilot.press("2")
        assert "L launches llama-server with this plan" in app.screen_text()
