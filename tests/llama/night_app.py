"""The app without a terminal: keys come as lines on stdin, what it shows and knows goes back as a line of JSON each."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Device, Machine
from kvtui.hardware.ram import host_memory
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.run import first_state
from kvtui.tui.session import Session

DEVICE_BYTES, RATE = 2**30, 5e10  # of each device


def told(app: KvtuiApp) -> dict[str, Any]:
    """What it knows of its server."""
    view, process, context = app.state.server, app.server.process, app.state.request.context
    return {
        "planned": app.state.plan is not None and bool(app.state.binaries) and not app.state.working,
        "types": [context.type_k, context.type_v],
        "asking": app.state.asking is not None,
        "running": view.running,
        "ready": view.ready,
        "url": view.url,
        "notice": app.state.notice,
        "launch": process.record.folder.name if process is not None else "",
        "lines": process.tail.lines_read if process is not None else 0,
        "skipped": process.tail.skipped_bytes if process is not None else 0,
        "text": view.text,
        "used": view.used,
        "context": view.context,
        "slots": len(view.watched.slots),
        "busy": sum(s.busy for s in view.watched.slots),
        "generated": app.server.generated,
        "head": app.screen_text().partition("\n")[0],
    }


async def main(model: Path, server: str, rpc: str) -> None:
    """Until stdin ends."""
    # an RPC server has no ear for a second client while a llama-server has it: what they have is said, not asked
    ends = enumerate(rpc.split(","))
    devices = tuple(Device(f"RPC{i}", DEVICE_BYTES, DEVICE_BYTES, bandwidth=RATE, endpoint=end) for i, end in ends)
    machine = Machine(devices, host_memory())
    request = Request(load_model(model), ContextParams(n_ctx=4096, n_parallel=4), machine)
    session = Session(path=model, request=request, machine=machine, simulated=False, server=server)
    app = KvtuiApp(session, first_state(session))
    async with app.run_test(size=(100, 30)) as pilot:
        while line := await asyncio.to_thread(sys.stdin.readline):
            if keys := line.split():
                await pilot.press(*keys)
            print(json.dumps(told(app)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
