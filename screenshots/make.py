"""Write screenshots/*.svg from the real app on the bundled model: python screenshots/make.py [--check]

Each is made through Pilot at a fixed size and theme, after the first plan, the table and the proof's start are there."""

import asyncio
import re
import sys
from dataclasses import replace
from pathlib import Path

from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session

FOLDER = Path(__file__).parent
SIZES = ((80, 24), (120, 40), (160, 45))


async def pictures() -> dict[str, str]:
    """Names and screens as SVG of one plan, with the names that differ from run to run made equal."""
    request = demo_request()
    build = "b11434"
    app = KvtuiApp(Session(None, request, request.machine, simulated=True, demo=True, build=build, unicode=True))
    found = {}
    async with app.run_test(size=SIZES[0]) as pilot:
        for _ in range(6000):
            if app.state.plan is not None and app.state.rows_complete:
                break
            await pilot.pause(0.02)
        app.superseded.set()  # the proof may take its time
        shown = replace(app.state, working="", build=build, notice="")
        for columns, lines in SIZES:
            await pilot.resize_terminal(columns, lines)
            for theme in sorted(app.themes):
                app.look = app.themes[theme]
                app.use_look()
                app.become(shown)
                await pilot.pause()
                svg = app.export_screenshot(title="kvtui")
                found[f"demo-{columns}x{lines}-{theme}.svg"] = re.sub(r"terminal-\d+", "terminal-0", svg)
    return found


async def main() -> int:
    """Write all pictures; with --check, compare instead. The number of those that differ."""
    different = 0
    for name, svg in (await pictures()).items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(svg)
        elif not path.exists() or path.read_text() != svg:
            print(f"{name} differs")
            different += 1
    return different


if __name__ == "__main__":
    sys.exit(min(asyncio.run(main()), 1))
