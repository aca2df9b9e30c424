"""Write screenshots/*.svg from the real app on the bundled model: python screenshots/make.py [--check]

Each is made through Pilot at a fixed size and theme, of the first plan and its table: how far the proof got, and what this
machine has learned or has for a llama-server, differ from run to run and stay out."""

import asyncio
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from kvtui.placement.plan import Plan, quick_plan
from kvtui.placement.table import PairRow, iter_rows
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session

FOLDER = Path(__file__).parent
SIZES = ((80, 24), (120, 40), (160, 45))


@cache
def planned() -> tuple[Plan, tuple[PairRow, ...]]:
    """What all pictures show."""
    plan = quick_plan(demo_request())
    return plan, tuple(iter_rows(plan, all_pairs=False))


async def picture(columns: int, lines: int, theme: str) -> str:
    """The screen as SVG, with the names that differ from run to run made equal."""
    plan, rows = planned()
    request = plan.request
    app = KvtuiApp(Session(None, request, request.machine, simulated=True, theme=theme, demo=True, unicode=True))
    async with app.run_test(size=(columns, lines)) as pilot:
        app.superseded.set()
        generation = app.state.generation + 1  # an answer under way is an old one now
        taken = replace(app.state, request=request, generation=generation, plan=plan, rows=rows, rows_of=generation)
        wanted = replace(taken, rows_complete=True, working="", build="b11434", notice="", live=(), problem="", before=None)
        while app.state is not wanted:  # what the app itself finds at its start comes in between
            app.become(wanted)
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
