"""The K/V pairs in the app: what is advised, how they are looked at, the guide, and where a choice is kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.placement.advice import advice
from kvtui.tasks.demo import demo_request
from kvtui.tasks.profiles import profiles
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.table_view import SORTABLE
from tests.tui.waiting import until


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KvtuiApp:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def table(app: KvtuiApp) -> list[list[str]]:
    """Words of the table's lines that show a pair of types; its mark is a word where there is one."""
    lines = [text[1:].split("│")[0].split() for text in app.screen_text().splitlines() if text.startswith("│")]
    return [words for words in lines if sum(w in CACHE_TYPES for w in words[:3]) == 2]


def flat(app: KvtuiApp) -> str:
    """The screen without its folds."""
    return " ".join(app.screen_text().replace("│", " ").split())


def ready(app: KvtuiApp) -> Callable[[], bool]:
    return lambda: app.state.plan is not None and bool(app.state.rows)


async def test_the_table_says_all_of_the_advice_and_marks_the_pair(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        assert app.state.plan is not None
        assert advice(app.state.plan, app.state.rows) in flat(app)
        assert table(app)[0][:3] == ["*>", "f16", "f16"]
        assert "another family: LLaMA-3 8B (llama.cpp PR #7412)" in flat(app)


async def test_the_pair_that_beats_the_selected_one_is_named(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        beaten = next(r for r in app.state.rows if r.dominated_by)
        while app.state.pair != beaten.pair:
            await pilot.press("down")
        await until(pilot, lambda: app.state.rows_of == app.state.generation and ready(app)())
        row = next(r for r in app.state.rows if r.pair == app.state.pair)
        assert row.dominated_by is not None
        await pilot.press("w")
        assert f"beaten by {'/'.join(row.dominated_by)}" in flat(app)
        assert "best for memory" in flat(app)


async def test_sorting_is_marked_in_the_heading_and_can_be_turned(app: KvtuiApp) -> None:
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, ready(app))
        further = 1 + [c.key for c in SORTABLE].index("cache_bytes")  # the table's own order comes first
        await pilot.press(*[">"] * further)
        assert "cache↓" in app.screen_text()
        assert table(app)[0][0] in ("q4_0", "iq4_nl")
        await pilot.press("R")
        assert "cache↑" in app.screen_text()
        assert table(app)[0][:3] == ["*>", "f16", "f16"]
        await pilot.press(*["<"] * further)
        assert "in the table's own order" in app.screen_text()


async def test_a_filter_leaves_the_chosen_pair(app: KvtuiApp) -> None:
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("F", *"as f16", "enter")
        assert "only as f16 or better" in app.screen_text()
        assert {w[1] for w in table(app)} == {"f16", "q8_0"}
        await pilot.press("F", *"all of them", "enter")
        assert len(table(app)) == len(app.state.rows)


async def test_the_square_is_a_page_with_little_room_and_is_shaded_by_the_sorted_column(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("M")
        assert "K \\ V" in app.screen_text()
        assert "f16/f16: nothing needs to be quantised" in flat(app)
        await pilot.press("down")
        assert app.state.pair == ("bf16", "bf16")
        await pilot.press("escape")
        assert "3 placement" in app.screen_text()


async def test_the_guide_is_a_page_and_is_read_to_its_end(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("g")
        await until(pilot, lambda: "Acceptable" in app.screen_text())
        seen = flat(app)
        for _ in range(8):
            await pilot.press("pagedown")
            seen += flat(app)
        for said in ("f16/f16 215.0 GB 258.5 GB 215.0 GiB 8.65 GiB", "F4 Mixed", "What -sm tensor needs", "two devices or more"):
            assert said in seen
        assert "…" not in seen


async def test_the_configuration_is_shown_and_copied(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("Y")
        assert "- K/V cache: f16/f16" in app.screen_text()
        assert "across 4 GPUs" in app.screen_text()
        assert app.clipboard.startswith("Current configuration:\n- Context: 132,000 tokens")


async def test_a_config_is_written_back_in_its_order(app: KvtuiApp, tmp_path: Path) -> None:
    path = tmp_path / "kvtui.json"
    path.write_text('{"slots": 1, "kv_cache": {"type": "q4_0", "type_k": null, "type_v": null}, "context_size": 8192}')
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("f2", "W", "enter")
        assert "context_size 132000, K/V q8_0/q8_0" in app.screen_text()
    written = json.loads(path.read_text())
    assert list(written) == ["slots", "kv_cache", "context_size"]
    assert written["kv_cache"] == {"type": "q8_0", "type_k": None, "type_v": None}


async def test_a_profile_is_saved_loaded_and_deleted(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, ready(app))
        await pilot.press("f2", "P", "enter", *"mine", "enter")
        assert "profile mine is saved" in app.screen_text()
        assert profiles()["mine"].options.cache_type_k == "q8_0"
        await pilot.press("f1", "P", *"mine", "enter", "l")
        assert app.state.pair == ("q8_0", "q8_0")
        await pilot.press("P", *"mine", "enter", "d")
        assert "profile mine is deleted" in app.screen_text()
        assert profiles() == {}
