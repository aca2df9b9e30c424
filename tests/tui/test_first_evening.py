"""What a person meets on the first evening: keys in, the screen out, on a small model and a simulated machine."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.simulated import parse_devices, parse_ram
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.run import first_state
from kvtui.tui.session import Session
from kvtui.tui.state import ServerView
from tests.conftest import HeaderArchive
from tests.tui.waiting import until

SMALL, LARGE = (80, 24), (160, 45)
PAIR = re.compile(r"│[* ][> ] \w+ +\w+ +[\d.]+ [KMG]iB ")
TITLES = (" 1 memory", " 2 K/V cache", " 3 placement", " 4 log")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def session(tmp_path: Path, headers: HeaderArchive) -> Session:
    machine = Machine(parse_devices(("2x3090",)), parse_ram("64GiB"))
    request = Request(load_model(headers.write("gemma3-dense", tmp_path)), ContextParams(n_ctx=32000), machine)

    def no_other(name: str) -> Request:
        raise AssertionError(name)

    return Session(path=None, request=request, machine=machine, simulated=True, opener=no_other)


@pytest.fixture
def demo() -> KvtuiApp:
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True))


def footer(app: KvtuiApp) -> str:
    return "  ".join(app.screen_text().splitlines()[-2:])


def titles(app: KvtuiApp) -> list[str]:
    """The panes that are shown, by their upper borders."""
    borders = [row for row in app.screen_text().splitlines() if row.startswith(("╭", "├"))]
    return [t for t in TITLES if any(t in row for row in borders)]


def planned(app: KvtuiApp) -> Callable[[], bool]:
    return lambda: app.state.plan is not None and bool(app.state.rows)


@pytest.mark.parametrize(
    ("pane", "own"),
    [
        ("1", []),
        ("2", ["up/down pair"]),
        ("3", ["Space marks", "left/right block", "up/down ten", "- unpins"]),
        ("4", ["/ search", "l level", "f follow", "PgUp/PgDn scroll"]),
    ],
)
async def test_the_footer_names_the_keys_that_act_here(session: Session, pane: str, own: list[str]) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press(pane)
        for text in [*own, "F1-F4 presets", "d actual", "E export", "B binary", "o open", "u undo", "? help", "q quit"]:
            assert text in footer(app)
        assert "S stress" not in footer(app)
        app.become(replace(app.state, server=ServerView("ready", running=True, ready=True)))
        for text in [
            *own,
            "x stop",
            "d actual",
            "S stress",
            "T ask",
            "E export",
            "B binary",
            "o open",
            "u undo",
            "? help",
            "q quit",
        ]:
            assert text in footer(app)
        assert all(len(row) <= SMALL[0] for row in app.screen_text().splitlines())


async def test_a_notice_leaves_the_keys_and_goes_at_the_next_key(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        keys = footer(app)
        await pilot.press("f2")
        assert "balanced: q8_0/q8_0" in app.screen_text()
        assert footer(app) == keys
        await pilot.press("1")
        assert "balanced: q8_0/q8_0" not in app.screen_text()


async def test_one_key_halves_the_cache_and_capitals_go_back_a_type(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press("h")
        assert "q8_0/q8_0: " in app.screen_text()
        assert " of cache instead of " in app.screen_text()
        await pilot.press("h")
        context = app.state.request.context
        assert (context.type_k, context.type_v) == ("q4_0", "q4_0")
        await pilot.press("h")
        assert "no type has half the bytes of q4_0" in app.screen_text()
        await pilot.press("k", "K", "v", "v", "V", "V")
        assert app.state.request.context == context


async def test_the_largest_context_is_one_key_and_its_number_is_shown(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press("C")
        await until(pilot, lambda: f"context max {app.state.request.model.n_ctx_train:,}" in app.screen_text())


async def test_a_prompt_opens_with_todays_value_and_says_what_may_be_typed(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press("c")
        assert "context: [32000]" in footer(app)
        assert "max: the trained context, or the most that fits" in footer(app)
        await pilot.press("enter")
        assert app.state.past == ()
        await pilot.press("c", "1", "6", "k")
        assert "context: 16k_" in footer(app)
        await pilot.press("escape", "c", "right", "backspace", "1")
        assert "context: 32001_" in footer(app)
        await pilot.press("enter")
        assert app.state.request.context.n_ctx == 32001


async def test_ten_blocks_are_pinned_in_eight_keys_marked_and_freed_one_by_one(demo: KvtuiApp) -> None:
    async with demo.run_test(size=SMALL) as pilot:
        await until(pilot, planned(demo))
        keys = ["3", "down", "down", "down", "space", "down", "left", "2"]
        assert len(keys) <= 8
        await pilot.press(*keys[:-1])
        assert "blocks 30-39: experts to 0 CUDA0  1 CUDA1  2 CUDA2  3 CUDA3  . RAM" in footer(demo)
        await pilot.press(keys[-1])
        assert "blocks 30-39: experts, 10" in demo.screen_text()
        assert "pinned to CUDA2" in demo.screen_text()
        marks = next(row for row in demo.screen_text().splitlines() if row.startswith("│ pinned"))
        assert marks[12:].rstrip("│ ") == " " * 30 + "^" * 10
        await pilot.press("left", "right")  # the notice goes, and what it covered is seen
        assert "block 39: experts " in demo.screen_text()
        assert ", attention on CUDA" in demo.screen_text()
        await pilot.press("minus")
        marks = next(row for row in demo.screen_text().splitlines() if row.startswith("│ pinned"))
        assert marks[12:].rstrip("│ ") == " " * 30 + "^" * 9
        await pilot.press("u", "u")
        assert "│ pinned" not in demo.screen_text()


@pytest.mark.parametrize("size", [SMALL, (120, 36), LARGE])
@pytest.mark.parametrize("pane", ["1", "2", "3"])
async def test_the_logs_key_hides_it_at_any_height(session: Session, size: tuple[int, int], pane: str) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=size) as pilot:
        await until(pilot, planned(app))
        app.become(replace(app.state, server=ServerView("ready", running=True, ready=True)))
        await pilot.press("4")
        assert " 4 log" in app.screen_text()
        await pilot.press(pane)
        if " 4 log ready" not in app.screen_text():  # the map took its place
            await pilot.press("4")
        await pilot.press("4")
        assert " 4 log ready" not in app.screen_text()


async def test_a_list_left_by_escape_comes_back_to_pins_and_undo(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press("f2", "3", "right", "space", "1", "o")
        await until(pilot, lambda: app.return_value is not None)
    again = KvtuiApp(session, app.return_value)
    async with again.run_test(size=SMALL) as pilot:
        await until(pilot, planned(again))
        assert "block 1: " in again.screen_text()
        assert "; pinned" in again.screen_text()
        await pilot.press("u")
        assert "; pinned" not in again.screen_text()
        await pilot.press("u")
        assert again.state.request.context.type_k == "f16"


async def test_a_model_opens_as_it_was_left_and_undo_goes_back_to_the_defaults(session: Session) -> None:
    app = KvtuiApp(session, first_state(session))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press("f2", "3", "space", "0", "q")
        await until(pilot, lambda: not app.is_running)
    again = KvtuiApp(session, first_state(session))
    async with again.run_test(size=SMALL) as pilot:
        await until(pilot, planned(again))
        assert "as last time: q8_0, 32k, 1 pin; u goes back to the defaults" in again.screen_text()
        assert again.state.request.pins == app.state.request.pins
        await pilot.press("u")
        assert again.state.request.context == session.request.context  # type: ignore[union-attr]
        assert again.state.request.pins == ()
    decided = first_state(replace(session, given=frozenset({"type_k", "type_v"})))
    assert decided.request.context.type_k == "f16"
    await until(pilot, lambda: not again.is_running)
    assert first_state(session).notice == ""  # undone: the defaults are what was asked last


@pytest.mark.parametrize(("pane", "title"), [("1", " 1 memory"), ("2", " 2 K/V cache"), ("3", " 3 placement"), ("4", " 4 log")])
async def test_zoom_shows_the_pane_one_is_in_and_all_again(session: Session, pane: str, title: str) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        await pilot.press(pane)
        before = titles(app)
        await pilot.press("z")
        assert titles(app) == [title]
        await pilot.press("z")
        assert titles(app) == before


async def test_the_map_names_the_keys_that_show_what_has_no_room(demo: KvtuiApp) -> None:
    """They show it: the pane that is named and no other comes to the front."""
    async with demo.run_test(size=SMALL) as pilot:
        await until(pilot, planned(demo))
        await pilot.press("3", "z")
        assert titles(demo) == [" 3 placement"]
        assert "more lines" not in demo.screen_text()


@pytest.mark.parametrize(("size", "stays"), [(SMALL, False), (LARGE, True)])
async def test_the_memory_stays_above_a_page_where_there_is_room(session: Session, size: tuple[int, int], stays: bool) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.plan is not None and not app.state.working)
        before = app.screen_text().splitlines()[2:5]
        assert [row[2:7] for row in before] == ["CUDA0", "CUDA1", "RAM  "]
        await pilot.press("1", "question_mark")
        assert (app.screen_text().splitlines()[2:5] == before) is stays
        assert titles(app) == ([" 1 memory"] if stays else [])
        await pilot.press(*["pagedown"] * 9)
        last = app.screen_text().splitlines()[-3]
        await pilot.press("pageup", "pagedown")
        assert app.screen_text().splitlines()[-3] == last  # it is the last line that is the lowest, no further
        assert last.strip("│ ")
        await pilot.press("escape")
        assert titles(app)[:3] == list(TITLES[:3])


@pytest.mark.parametrize(
    ("weights", "said"),
    [(200 << 20, "predicted    250 | actual    254 MiB"), (None, "predicted     50 | actual     54 MiB + mapped")],
)
async def test_weights_that_are_mapped_stand_apart(session: Session, weights: int | None, said: str) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, planned(app))
        predicted, actual = (("RAM", 200 << 20, 40 << 20, 10 << 20),), (("RAM", weights, 40 << 20, 14 << 20),)
        app.become(replace(app.state, server=ServerView("ready", running=True, predicted=predicted, actual=actual)))
        (ram,) = [row for row in app.screen_text().splitlines() if row.startswith("│ RAM ")]
        assert ram.rstrip(" │").endswith(said)
        await pilot.press("e")
        assert ("| mapped" in app.screen_text()) is (weights is None)


async def test_no_border_is_broken_where_nothing_is_said(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: app.state.plan is not None and not app.state.working)
        plan = app.state.plan
        assert plan is not None
        unknown = replace(plan.optimality, proven=False, remaining=None)
        app.become(replace(app.state, plan=replace(plan, speed=None, optimality=unknown)))
        await pilot.press("1")
        (title,) = [row for row in app.screen_text().splitlines() if " 3 placement " in row]
        assert "  " not in title


@pytest.mark.parametrize(("gpus", "lines", "folded"), [(8, 8, ""), (16, 7, "CUDA7 to CUDA15: 9 more")])
async def test_eight_gpus_have_a_line_each_and_more_are_folded(session: Session, gpus: int, lines: int, folded: str) -> None:
    assert session.request is not None
    machine = Machine(parse_devices((f"{gpus}x3090",)), parse_ram("64GiB"))
    app = KvtuiApp(replace(session, request=replace(session.request, machine=machine), machine=machine))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, planned(app))
        for pane in "123":
            await pilot.press(pane)
            rows = app.screen_text().splitlines()
            assert sum(row.startswith("│ CUDA") and " to " not in row for row in rows) == lines
            assert folded in app.screen_text()
            assert any(row.startswith("│ RAM ") for row in rows)
            assert titles(app) == list(TITLES[:3])
            if pane != "3":  # the map in focus has its lines
                assert sum(bool(PAIR.match(row)) for row in rows) >= 5
            assert sum("f16 " in row for row in rows)  # a pair, and the map
            assert any(row.startswith("│ ffn ") for row in rows)
