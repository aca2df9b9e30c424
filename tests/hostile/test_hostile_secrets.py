"""An API key, walked through everything that kvtui prints, writes and starts: it is in its own private file alone."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kvtui.cli.exporting import FORMATS
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import HostMemory, Machine
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port
from kvtui.server.process.record import KEY
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.exporting import FORMATS as FORMS
from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from tests.conftest import HeaderArchive
from tests.tui.stub_server import HELP, stub_server
from tests.tui.waiting import until

SECRET = "SECRETKEY"
WITH_KEYS = re.sub(  # each option by a variable too
    r"--([a-z-]+)(?=[ ,]).*",
    lambda line: f"{line[0]} (env: LLAMA_ARG_{line[1].upper().replace('-', '_')})",
    f"{HELP}-m,    --model FNAME    model\n-fit,  --fit [on|off]    fit\n--api-key-file FNAME    keys\n",
)


class Place:
    """A home with a model, a config that holds the key, and a llama-server that notes how it was started."""

    def __init__(self, folder: Path, headers: HeaderArchive, code: int | None) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        self.model = headers.write("gemma3-dense", folder)
        self.started = folder / "started"
        self.stub = stub_server(folder / "bin", code)
        note = f"open({str(self.started)!r}, 'a').write(repr(sys.argv) + '\\n')"
        text = self.stub.path.read_text().replace("if ", f"{note}\nif ", 1)
        self.stub.path.write_text(text.replace(repr(HELP), repr(WITH_KEYS)))
        self.config = folder / "config.json"
        server = {"args": ["--api-key", SECRET]}
        self.config.write_text(json.dumps({"context_size": 512, "server": server}))

    def run(self, *args: str | Path, env: dict[str, str] | None = None) -> str:
        """What one command printed."""
        command = [sys.executable, "-c", "from kvtui.cli import main; main()", *map(str, args)]
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout + done.stderr

    def holding(self) -> set[str]:
        """Files that hold the key, the person's own config aside, each private."""
        found = [p for p in self.folder.rglob("*") if p.is_file() and p != self.config and p.stat().st_size < 2**20]
        held = [p for p in found if SECRET.encode() in p.read_bytes()]
        assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in held)
        return {p.name for p in held}


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("by", ["config", "environment"])
def test_a_key_is_in_no_output_argument_or_file(by: str, tmp_path: Path, headers: HeaderArchive) -> None:
    place = Place(tmp_path, headers, code=0)
    env = {"LLAMA_API_KEY": SECRET} if by == "environment" else {}
    how = ("--config", place.config) if by == "config" else ("-c", "512")
    of_model = (place.model, *how, "--llama-server", place.stub.path, "--ram", "64GiB@50GB/s")
    said = [place.run(command, *of_model, env=env) for command in ("plan", "table")]
    said += [place.run(command, *of_model, "--json", env=env) for command in ("plan", "table")]
    for form in FORMATS:
        hosts: tuple[tuple[str, ...], ...] = ((),) if form == "preset" else ((), ("--host", "0.0.0.0"))
        said += [place.run("export", form, *of_model, *host, env=env) for host in hosts]
    started = place.started.read_text().count("--port")
    said += [place.run("serve", *of_model, "--port", str(free_port(0).port), *more, env=env) for more in ((), ("--watch",))]
    assert place.started.read_text().count("--port") == started + 2
    said.append(place.run("verify", *of_model, env=env))
    said.append(place.run("estimate", place.model, "--", "-c", "512", "--api-key", SECRET, env=env))
    said.append(place.run("review", "--", "llama-server", "-m", place.model, "--api-key", SECRET, env=env))
    said.append(place.run("profile", "save", "mine", place.model, *how, env=env))
    said += [place.run("profile", "list", "--json", env=env), place.run("profile", "list", env=env)]
    assert not [text for text in said if SECRET in text]
    assert SECRET not in place.started.read_text()
    assert place.holding() == {KEY}


@pytest.mark.usefixtures("clean")
async def test_a_key_is_in_nothing_that_the_app_shows_or_writes(
    tmp_path: Path, headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, headers, code=None)
    monkeypatch.setenv("LLAMA_API_KEY", SECRET)
    monkeypatch.setenv("LLAMA_SERVER", str(place.stub.path))
    monkeypatch.chdir(tmp_path)
    machine = Machine((), HostMemory(2**36, 2**36, bandwidth=5e10))
    request = Request(load_model(place.model), ContextParams(n_ctx=512, n_parallel=1), machine)
    app = KvtuiApp(
        Session(path=place.model, request=request, machine=machine, simulated=False, address=Address(free_port(0).port))
    )
    shown: list[str] = []
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: app.state.plan is not None and bool(app.state.binaries) and not app.state.working)
        for number in range(len(FORMS)):
            await pilot.press("E", *["down"] * number, "enter")
            shown.append(app.screen_text())
            await pilot.press("escape")
        await pilot.press("y")
        shown.append(app.screen_text())
        await pilot.press("escape", "L")
        await until(pilot, lambda: app.state.asking is not None or app.server.process is not None)
        if app.state.asking is not None:  # the port or the memory of whoever runs this
            await pilot.press("enter")
        await until(pilot, lambda: app.server.process is not None)
        process = app.server.process
        assert isinstance(process, ServerProcess)
        try:
            await until(pilot, lambda: app.state.server.ready)
            shown.append(app.screen_text())
            await pilot.press("i")
            shown.append(app.screen_text())
            assert process.api_key == SECRET
        finally:
            process.stop()
    assert not [text for text in shown if SECRET in text]
    assert len(list(tmp_path.glob("llama-server-*"))) >= len(FORMS) - 2  # all but the clipboard's, and what a form cannot hold
    assert SECRET not in place.started.read_text()
    assert place.holding() == {KEY}
