"""A plan kept as A, what follows as B: side by side on a page or in a pane, swapped, forgotten."""

from pathlib import Path

import pytest

from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.state import SEARCHING
from tests.tui.waiting import until


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KvtuiApp:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def planned(app: KvtuiApp) -> bool:
    return app.state.plan is not None and app.state.working != SEARCHING


def row(app: KvtuiApp, label: str) -> list[str]:
    """The words after a label in the comparison, which begins with its columns' names."""
    lines = [text.replace("│", " ").split() for text in app.screen_text().splitlines()]
    heads = next(i for i, words in enumerate(lines) if words[-2:] == ["A", "B"] or words == ["A", "B", "B", "-", "A"])
    for words in lines[heads:]:
        if label in words:
            return words[words.index(label) + 1 :]
    raise AssertionError(label)


async def test_a_page_holds_the_kept_plan_against_the_one_asked_since(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: planned(app))
        await pilot.press("D")
        assert "kept as A" in app.screen_text()
        await pilot.press("D")
        assert "B is what A is, until something is changed" in app.screen_text()
        await pilot.press("escape", "h", "D")  # the page is open before B is worked out
        await until(pilot, lambda: planned(app))
        assert app.state.kept is not None
        a, b = app.state.kept.plan, app.state.plan
        assert b is not None
        assert a.speed is not None
        assert b.speed is not None
        assert row(app, "types") == ["f16/f16", "q8_0/q8_0"]
        assert row(app, "context") == ["132,000", "132,000", "+0"]
        assert row(app, "tokens/s")[:2] == [f"{a.speed.tokens_per_second:.3g}", f"{b.speed.tokens_per_second:.3g}"]
        used = [plan.estimate.devices[0].used_bytes / 2**30 for plan in (a, b)]
        assert row(app, "CUDA0")[:4] == [f"{used[0]:.1f}", "GiB", f"{used[1]:.1f}", "GiB"]
        moved = {
            t.block
            for t, was, now in zip(a.request.model.tensors, a.assignment.tensor_devices, b.assignment.tensor_devices, strict=True)
            if was != now
        }
        assert moved
        assert "what moves from A to B" in app.screen_text()
        assert "RAM > CUDA" in app.screen_text()


async def test_a_key_swaps_and_a_key_forgets(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: planned(app))
        await pilot.press("X")
        assert "no plan is kept as A" in app.screen_text()
        await pilot.press("D", "h")
        await until(pilot, lambda: planned(app))
        await pilot.press("X")
        assert app.state.request.context.type_k == "f16"
        await until(pilot, lambda: planned(app))
        await pilot.press("D")
        assert row(app, "types") == ["q8_0/q8_0", "f16/f16"]
        await pilot.press("escape", "Z", "Z")
        assert "no plan is kept as A" in app.screen_text()


async def test_a_wide_screen_has_both_in_place(app: KvtuiApp) -> None:
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: planned(app))
        assert "─ A and B ─" not in app.screen_text()
        await pilot.press("D", "h")
        await until(pilot, lambda: planned(app))
        assert "─ A and B ─" in app.screen_text()
        assert "2 K/V cache" in app.screen_text()
        assert row(app, "types") == ["f16/f16", "q8_0/q8_0"]
        await pilot.press("3")  # the tensors of the block under the cursor, while one moves there
        assert "─ A and B ─" not in app.screen_text()
        await pilot.press("2", "Z")
        assert "─ A and B ─" not in app.screen_text()
