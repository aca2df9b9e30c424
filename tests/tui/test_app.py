"""The app as a person sees it: keys in, text out, on the bundled model and simulated machine."""

import pytest

from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.draw.placement import LABEL
from kvtui.tui.session import Session
from tests.tui.waiting import until


@pytest.fixture
def app() -> KvtuiApp:
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def selected(app: KvtuiApp) -> list[str]:
    """Words of the table's selected line."""
    return next((text.strip("│ ").split() for text in app.screen_text().splitlines() if text.startswith("│ > ")), [])


async def test_opens_whole_at_80x24(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        text = app.screen_text()
        assert "Kimi K2 (demo)  deepseek2 MLA" in text
        assert "1 memory, simulated" in text
        assert "context 132,000  slots 1 x 132,096" in text
        assert "3 placement" in text
        assert all(f"CUDA{i}" in text for i in range(4))
        assert all(len(row) <= 80 for row in text.splitlines())
        assert selected(app)[1:4] == ["f16", "f16", "8.65"]


async def test_one_key_moves_both_types_of_an_mla_model_and_says_so(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press("v")
        await until(pilot, lambda: selected(app)[1:3] == ["bf16", "bf16"])
        assert "K and V move together" in app.screen_text()


async def test_presets_undo_and_redo(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press("f2")
        await until(pilot, lambda: selected(app)[1:4] == ["q8_0", "q8_0", "4.59"])
        await pilot.press("f4")
        assert "mixed types are not for this model" in app.screen_text()
        await pilot.press("u")
        await until(pilot, lambda: selected(app)[1:3] == ["f16", "f16"])
        await pilot.press("r")
        await until(pilot, lambda: selected(app)[1:3] == ["q8_0", "q8_0"])


async def test_context_and_slots_are_typed(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        await pilot.press("c", *"32k", "enter")
        await until(pilot, lambda: "context 32,000  slots 1 x 32,000" in app.screen_text())
        await pilot.press("s", "4", "enter")
        await until(pilot, lambda: "slots 4 x 8,192" in app.screen_text())
        await pilot.press("c", *"nonsense", "enter")
        assert "not a number of tokens" in app.screen_text()
        assert "context 32,000" in app.screen_text()


async def test_a_pin_moves_experts_and_is_seen(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("3", *["right"] * 30, "p", "p", "p")
        assert "block 30" in app.screen_text()
        assert "pinned to CUDA2" in app.screen_text()
        await until(pilot, lambda: app.state.working != "searching")
        experts = next(row for row in app.screen_text().splitlines() if row.startswith("│ experts"))
        assert experts[1 + LABEL + 30] == "2"


async def test_help_explain_and_command_pages(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("question_mark")
        assert "maximum performance" in app.screen_text()
        await pilot.press("escape", "e")
        assert "K: 61 blocks x 132,096 cells x 576 values x 2 B = 8,852.6 MiB" in app.screen_text()
        assert "215.0 GiB" in app.screen_text()
        await pilot.press("pagedown")
        await until(pilot, lambda: "staged: blk." in app.screen_text())
        await pilot.press("escape", "y")
        assert "llama-server -m MODEL.gguf --fit off -c 132000" in app.screen_text()


async def test_the_demo_cannot_be_launched_and_says_why(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("L")
        assert "the demo's model is only a header" in app.screen_text()


async def test_small_terminals(app: KvtuiApp) -> None:
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: bool(app.state.rows))
        assert "2 K/V cache" in app.screen_text()
        assert "3 placement" not in app.screen_text()
        await pilot.press("3")
        assert "3 placement" in app.screen_text()
        await pilot.resize_terminal(50, 15)
        await until(pilot, lambda: "kvtui needs 60 x 20, here are 50 x 15" in app.screen_text())


async def test_every_theme_can_be_shown(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        first = app.look.name
        seen = {first}
        for _ in app.themes:
            await pilot.press("t")
            seen.add(app.look.name)
        assert seen == set(app.themes) >= {"dark", "light", "high-contrast", "colour-blind", "sixteen", "monochrome"}
        assert app.look.name == first


async def test_another_size_is_drawn_at_once_and_shows_more(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.rows_complete)
        assert "all pairs" not in app.screen_text()
        for columns, lines in ((160, 45), (80, 24), (120, 36)):
            await pilot.resize_terminal(columns, lines)
            await pilot.pause()
            rows = app.pane.text().splitlines()
            assert len(rows) == lines
            assert rows[-1].startswith("╰")
            assert len(rows[-1]) == columns
        text = app.screen_text()
        assert all(name in text for name in ("all pairs", "on GPUs", "empty", "dense FFN", "norms", "block 0"))


async def test_what_moved_is_marked_until_the_next_key(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("f3")
        await until(pilot, lambda: app.state.working != "searching")
        assert "moved: " in app.screen_text()
        await pilot.press("1")
        assert "moved: " not in app.screen_text()


async def test_without_unicode_only_ascii_is_shown(app: KvtuiApp) -> None:
    app.unicode = False
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        assert app.screen_text().isascii()
        assert "1 memory" in app.screen_text()
