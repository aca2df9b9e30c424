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


async def picture(columns: int, lines: int, theme: str) -> str:
    """The screen as SVG, with the names that differ from run to run made equal."""
    request = demo_request()
    app = KvtuiApp(Session(path=None, request=request, machine=request.machine, simulated=True, theme=theme, demo=True))
    async with app.run_test(size=(columns, lines)) as pilot:
        for _ in range(600):
            if app.state.plan is not None and app.state.rows_complete:
                break
            await pilot.pause(0.02)
        app.state = replace(app.state, working="", build="b11434", notice="")
        app.draw()
        await pilot.pause()
        svg = app.export_screenshot(title="kvtui")
    return re.sub(r"terminal-\d+", "terminal-0", svg)


async def main() -> int:
    """Write all pictures; with --check, compare instead. The number of those that differ."""
    themes = sorted(KvtuiApp(Session(None, demo_request(), demo_request().machine, True)).themes)
    different = 0
    for columns, lines in SIZES:
        for theme in themes:
            path = FOLDER / f"demo-{columns}x{lines}-{theme}.svg"
            svg = await picture(columns, lines, theme)
            if "--check" in sys.argv:
                if not path.exists() or path.read_text() != svg:
                    print(f"{path.name} differs")
                    different += 1
            else:
                path.write_text(svg)
    return different


if __name__ == "__main__":
    sys.exit(min(asyncio.run(main()), 1))
