"""Write screenshots/sitting.svg, a sitting that plays by itself: python screenshots/record.py MODEL.gguf LLAMA_SERVER

The real app by keys: the bundled model of 620 GiB on its machine, then MODEL, a small one, launched by LLAMA_SERVER on two
devices of its ggml-rpc-server (which lies beside it): what was predicted stands beside what it took. What a load takes
differs a little from run to run: make.py --check leaves this picture out."""

import argparse
import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from frames_svg import Frame, Row, animated
from textual.pilot import Pilot

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port
from kvtui.tasks.demo import demo_request
from kvtui.tasks.remote_devices import rpc_devices
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.llama.conftest import rpc_server

TARGET = Path(__file__).parent / "sitting.svg"
COLUMNS, LINES = 120, 32
MOST_SECONDS = 180.0


class Sitting:
    """Frames of an app that keys drive."""

    def __init__(self, app: KvtuiApp, pilot: Pilot[object], frames: list[Frame]) -> None:
        self.app, self._pilot, self._frames = app, pilot, frames

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it."""
        for _ in range(int(MOST_SECONDS / 0.1)):
            if holds():
                return
            await self._pilot.pause(0.1)
        raise SystemExit(f"it never came to it:\n{self.app.screen_text()}")

    async def key(self, key: str) -> None:
        """Press it, and wait for the answer to be complete."""
        await self._pilot.press(key)
        await self.until(lambda: not self.app.state.working and self.app.state.rows_complete)

    def take(self, seconds: float, caption: str) -> None:
        """The screen as it is now."""
        rows: tuple[Row, ...] = tuple(tuple((t, self.app.pane._style(s)) for t, s in line) for line in self.app.pane._lines)
        self._frames.append(Frame(rows, seconds, caption))


async def plan(frames: list[Frame]) -> None:
    """The bundled model: half the cache, the largest context."""
    request = demo_request()
    app = KvtuiApp(Session(None, request, request.machine, simulated=True, theme="dark", demo=True, unicode=True))
    async with app.run_test(size=(COLUMNS, LINES)) as pilot:
        sitting = Sitting(app, pilot, frames)
        await sitting.until(lambda: app.state.plan is not None and app.state.rows_complete and not app.state.working)
        sitting.take(4.0, "kvtui demo: 620 GiB of weights on four cards and RAM; every figure is predicted from the header")
        for key, seconds, caption in (
            ("D", 1.5, "D keeps this plan as A, to compare"),
            ("h", 4.0, "h halves the K/V cache, and all of the context fits; blocks that moved are marked"),
            ("C", 4.0, "C takes the largest context there is for it"),
        ):
            await sitting.key(key)
            sitting.take(seconds, caption)


async def launch(frames: list[Frame], model: Path, server: Path) -> None:
    """A small model: launched, and what was predicted beside what it took."""
    with contextlib.ExitStack() as stack:
        endpoints = [stack.enter_context(rpc_server(server.parent / "ggml-rpc-server")) for _ in range(2)]
        machine = Machine(rpc_devices(",".join(endpoints), str(server)), host_memory())
        request = Request(load_model(model), ContextParams(n_ctx=16384, n_parallel=1, type_k="q8_0", type_v="q8_0"), machine)
        address = Address(free_port(0).port)
        session = Session(
            model, request, machine, simulated=False, server=str(server), address=address, theme="dark", unicode=True, lean=True
        )
        app = KvtuiApp(session)
        async with app.run_test(size=(COLUMNS, LINES)) as pilot:
            sitting = Sitting(app, pilot, frames)
            await sitting.until(lambda: app.state.plan is not None and app.state.rows_complete and not app.state.working)
            sitting.take(2.5, "a model that is here, on two devices")
            await pilot.press("L")
            await sitting.until(lambda: app.state.server.running)
            sitting.take(2.0, "L launches llama-server with this plan")
            await sitting.until(lambda: app.state.server.ready and bool(app.state.server.actual))
            sitting.take(5.0, "it is ready: what was predicted stands beside what it took")
            await pilot.press("d")
            await pilot.pause(0.5)
            sitting.take(5.0, "d: buffer by buffer")
            await pilot.press("escape")
            await pilot.press("x")
            await sitting.until(lambda: not app.state.server.running)


async def main() -> None:
    """Write it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("server", type=Path)
    given = options.parse_args()
    frames: list[Frame] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), folder)
        await plan(frames)
        await launch(frames, given.model, given.server)
    TARGET.write_text(animated(frames, COLUMNS), encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, {sum(f.seconds for f in frames):.0f} s")


if __name__ == "__main__":
    asyncio.run(main())
