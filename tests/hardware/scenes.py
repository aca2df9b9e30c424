"""A machine that is played: a driver of NVIDIA's, trees of files for AMD and Intel, and a llama-server that lists devices."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trees import tree

HELP = "-ctk,  --cache-type-k TYPE    K\n-ngl,  --n-gpu-layers N       layers\n--port PORT                   port\n"
_BEGIN = """
import os, sys, json, asyncio
from pathlib import Path
import kvtui.hardware.root as root
root.ROOT = Path(os.environ["PLAY_ROOT"])  # before anything reads it
import kvtui.server.binary.find as find
find.WHEELS = ()  # the llama-server that these tests came with is none of this machine's
"""
_COMMAND = """
from kvtui.cli import main
main()
"""
_PANE = """
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
model, server, width, height, *keys = sys.argv[1:]
options = Options(llama_server=server or None, ctx_size="8192")
request = request_of(load(ModelAddress(model), options, lambda n: None), options)
app = KvtuiApp(Session(Path(model), request, request.machine, simulated=False, server=server or None, unicode=True))
async def look():
    async with app.run_test(size=(int(width), int(height))) as pilot:
        async def until(holds):
            for _ in range(600):
                if holds(): return
                await pilot.pause(0.05)
            raise SystemExit("the screen never came so far:\\n" + app.screen_text())
        await until(lambda: app.state.plan is not None and app.state.live)
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        print(app.screen_text())
asyncio.run(look())
"""


@dataclass(frozen=True)
class Scene:
    """`nvidia`: what the driver plays, "" for none; `files`: under /proc and /sys; `lists`: what the llama-server prints."""

    folder: Path
    library: Path
    nvidia: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    lists: Sequence[str] | None = None  # None: it says nothing
    env: Mapping[str, str] = field(default_factory=dict)

    def server(self, *backends: str) -> Path:
        """A llama-server with these back ends' libraries beside it."""
        path = self.folder / "llama" / "llama-server"
        path.parent.mkdir(parents=True, exist_ok=True)
        for library in backends:
            (path.parent / f"libggml-{library}.so").touch()
        said = "Available devices:\n" + "".join(f"  {row}\n" for row in self.lists or ())
        path.write_text(
            f"#!{sys.executable}\nimport sys\n"
            f"if '--list-devices' in sys.argv: print({said if self.lists is not None else 'no'!r})\n"
            f"else: print({HELP!r} if '--help' in sys.argv else 'version: 11434 (abc1234)')\n"
        )
        path.chmod(0o755)
        return path

    def _run(self, program: str, *argv: str | Path) -> str:
        kept = {k: v for k, v in os.environ.items() if k not in ("CUDA_VISIBLE_DEVICES", "LLAMA_SERVER")}
        own = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PLAY_ROOT": str(tree(self.folder / "root", self.files)),
            "PLAY_FILE": str(self.folder / "there"),
            **({"LD_LIBRARY_PATH": str(self.library), "PLAY": self.nvidia} if self.nvidia else {}),
        }
        ran = subprocess.run(
            [sys.executable, "-c", _BEGIN + program, *map(str, argv)],
            env={**kept, **own, **self.env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.stdout, ran.stderr
        return ran.stdout

    def says(self, *argv: str | Path) -> str:
        """What a command prints."""
        return self._run(_COMMAND, *argv)

    def answers(self, *argv: str | Path) -> Any:
        """The JSON of a command."""
        return json.loads(self.says(*argv, "--json"))

    def shows(self, model: Path, server: Path | None, size: tuple[int, int], *keys: str) -> str:
        """The screen once there is a plan and the memory in use was read."""
        return self._run(_PANE, model, server or "", str(size[0]), str(size[1]), *keys)
