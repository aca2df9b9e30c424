"""What the first screen does without, and that all of it is there afterwards."""

import subprocess
import sys

_HEAVY = ("numpy", "kvtui.placement.plan", "kvtui.memory.compute", "kvtui.server.process.start", "wcwidth")
_PROGRAM = f"""
import sys
import kvtui.cli.screen, kvtui.tui.run
from kvtui.base.late import load_all
from kvtui.tasks.demo import demo_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.draw.body import screen
from kvtui.tui.run import first_state
from kvtui.tui.session import Session

request = demo_request()
session = Session(path=None, request=request, machine=request.machine, simulated=True, demo=True)
app = KvtuiApp(session, first_state(session))
assert screen(app.state, app.room(80, 24))
print([name for name in {_HEAVY!r} if name in sys.modules])
load_all("kvtui.tui")
print([name for name in {_HEAVY[:-1]!r} if name not in sys.modules])
"""


def test_the_first_screen_is_drawn_without_what_comes_late() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "[]", ""]


def test_no_command_waits_for_the_imports_of_another() -> None:
    program = "import sys, kvtui.cli.commands; print([m for m in sys.modules if m.startswith(('kvtui.tasks', 'kvtui.cli.pl'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
