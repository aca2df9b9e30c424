"""The tensors of the block under the cursor, filtered as one types, each with the rule that put it there."""

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


def flat(app: KvtuiApp) -> str:
    return " ".join(app.screen_text().replace("│", " ").split())


async def test_a_blocks_tensors_say_why_they_are_there(app: KvtuiApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and app.state.working != SEARCHING)
        await pilot.press("3", "down", "down", "down", "space", "2")  # block 30's experts to CUDA2
        await until(pilot, lambda: app.state.plan is not None and app.state.working != SEARCHING)
        await pilot.press("enter")
        assert "filter: blk.30._" in flat(app)
        assert "blk.31." not in flat(app)
        assert "pinned by " in flat(app)
        await pilot.press(*" attn_norm")
        assert "with the rest: CUDA" in flat(app)
        await pilot.press(*["backspace"] * 40, *"token_embd")
        assert "only rows of it are looked up at each token" in flat(app)
        await pilot.press(*["backspace"] * 40, *"blk.60. down_exps ram")
        assert "> blk.60.ffn_down_exps" in flat(app)
        assert "home, has " in flat(app)
        assert " left, and it takes " in flat(app)
        await pilot.press("escape")
        assert "3 placement" in app.screen_text()
