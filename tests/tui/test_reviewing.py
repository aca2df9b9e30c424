"""A pasted command looked over by a key: its page, and what Enter takes of it."""

from pathlib import Path

import pytest
from textual.events import Paste

from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.tui.waiting import until

PASTED = """\
CUDA_DEVICE_ORDER=PCI_BUS_ID ./llama-server \\
    -m kimi.gguf \\
    -c 16384 -np 2 -ctk q8_0 -ctv q8_0 -fa on \\
    -ot "blk\\.[1-4]\\.ffn_.*_exps=CPU" -ot nothing_like_it=CPU
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KvtuiApp:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    request = demo_request()
    return KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, demo=True, unicode=True))


def flat(app: KvtuiApp) -> str:
    return " ".join(app.screen_text().split())


def on_page(app: KvtuiApp) -> str:
    """All of the page's text, whatever is scrolled."""
    page = app.state.page
    return "" if page is None else " ".join(" ".join(text for text, _ in content) for content in page.lines)


async def test_a_pasted_command_is_looked_over_and_taken(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("I")
        assert "paste a llama-server command" in flat(app)
        app.post_message(Paste(PASTED))
        await until(pilot, lambda: "nothing_like_it" in flat(app))
        assert "-m kimi.gguf" not in flat(app)  # of a long command the end is shown
        await pilot.press("enter")
        await until(pilot, lambda: "our plan less the command" in on_page(app))
        page = " ".join(on_page(app).split())
        assert "16,384 tokens, q8_0/q8_0, 2 slots" in page
        assert "-ot blk\\.[1-4]\\.ffn_.*_exps=CPU: 12 tensors" in page
        assert "-ot nothing_like_it=CPU: matches no tensor of this model" in page
        assert "kimi.gguf is not here: this is the command with" in page
        assert "Enter takes its context" in flat(app)
        before = app.state.request
        await pilot.press("enter")
        await until(pilot, lambda: app.state.plan is not None and app.state.request is not before)
        context = app.state.request.context
        assert (context.n_ctx, context.slots, context.type_k, context.type_v) == (16384, 2, "q8_0", "q8_0")
        assert app.state.page is None
        assert "as the command asks: q8_0, 16,384" in flat(app)
        await pilot.press("u")
        await until(pilot, lambda: app.state.request == before)


@pytest.mark.parametrize(
    ("typed", "message"),
    [("vllm serve x", "vllm: a command of llama-server"), ("llama-server -ctk q9", "-ctk q9: no such cache type")],
)
async def test_what_is_no_command_is_told_on_its_page(app: KvtuiApp, typed: str, message: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("I")
        app.post_message(Paste(typed))
        await until(pilot, lambda: typed in flat(app))
        await pilot.press("enter")
        await until(pilot, lambda: message in flat(app))
        assert "Enter takes its context" not in flat(app)
        await pilot.press("enter")
        assert "there is nothing to take on this page" in flat(app)


async def test_a_paste_ends_no_prompt_of_one_line(app: KvtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("c")
        app.post_message(Paste("81\n92\n"))
        await until(pilot, lambda: "8192_" in flat(app))
        app.post_message(Paste("9"))
        await pilot.press("escape")
        assert app.state.asking is None
