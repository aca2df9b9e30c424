"""Who is on a card, in the memory pane: zoomed on a small terminal, beside its bar on a large one, else not."""

from dataclasses import replace

import pytest

from kvtui.hardware.device import Machine
from kvtui.hardware.holders import HeldNow, Holder
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.state import LiveMemory
from kvtui.tui.work.messages import LivePolled
from tests.tui.waiting import until

GIB = 2**30
HELD = HeldNow("580.65.06", ((Holder(7, "llama-server", 20 * GIB), Holder(9, "Xorg", 300 << 20)),), frozenset({7}))


def app_with_a_card() -> KvtuiApp:
    """Two cards that a driver tells of, as a program on its own machine has them."""
    request = demo_request()
    devices = tuple(replace(d, pci_id=f"0000:0{i}:00.0", link=31.5e9) for i, d in enumerate(request.machine.devices[:2]))
    machine = Machine(devices, request.machine.ram)
    request = replace(request, machine=machine, margins=request.margins[:2])
    return KvtuiApp(Session(path=None, request=request, machine=machine, simulated=True, demo=True, unicode=True))


def polled(app: KvtuiApp) -> LivePolled:
    devices = app.state.request.machine.devices
    return LivePolled(devices, (*(LiveMemory(GIB) for _ in devices), LiveMemory(GIB)), "", HELD)


@pytest.mark.parametrize(("size", "keys", "between"), [((80, 24), ("1", "z"), 3), ((160, 45), (), 2), ((80, 24), (), 1)])
async def test_processes_stand_beside_the_bar_where_there_is_room(
    size: tuple[int, int], keys: tuple[str, ...], between: int
) -> None:
    app = app_with_a_card()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press(*keys)
        app.on_live_polled(polled(app))
        await pilot.pause()
        text, shown = app.screen_text(), between > 1
        assert ("driver 580.65.06, link 31.5 GB/s" in text) is shown
        assert ("llama-server 20.0 GiB (ours)  Xorg 300 MiB" in text) is shown
        lines = text.splitlines()
        bars = [i for i, row in enumerate(lines) if "CUDA0" in row or "CUDA1" in row][:2]
        assert bars[1] - bars[0] == between
        assert any(" RAM " in row for row in lines[bars[1] :])
