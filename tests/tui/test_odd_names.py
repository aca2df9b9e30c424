"""A model whose name is no UTF-8 and holds what a terminal would obey: what the app copies, shows and writes names that file."""

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from kvtui.placement.plan import quick_plan
from kvtui.server.binary.exports import ExportError
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.process.record import ServerRecord
from kvtui.tasks.demo import demo_request
from kvtui.tasks.exporting import COMMAND, ENVIRONMENT, PRESET, SCRIPT, SWAP, UNIT, Format
from kvtui.tui.app import KvtuiApp
from kvtui.tui.draw.server_pages import about_page
from kvtui.tui.server.exporting import export
from kvtui.tui.session import Session
from tests.tui.waiting import until

NAME = b"not utf-8 \xff \x1b]52;c;eA==\x07.gguf"
HELP = """\
-m,    --model FNAME      model path to load (env: LLAMA_ARG_MODEL)
--port PORT               port (env: LLAMA_ARG_PORT)
--host HOST               host (env: LLAMA_ARG_HOST)
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / os.fsdecode(NAME)
    path.write_bytes(files("kvtui.data").joinpath("kimi-k2.head").read_bytes())
    request = demo_request()
    return Session(path=path, request=request, machine=request.machine, simulated=True, demo=True, unicode=True)


def words_of(line: str) -> list[bytes]:
    """What bash makes of it."""
    env = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
    return subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env=env).stdout.split(b"\0")


async def test_the_copied_command_names_the_file(session: Session) -> None:
    app = KvtuiApp(session)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("y")
        copied = app.clipboard
        assert "command, copied" in app.screen_text()
        assert r"$'" in app.screen_text()
    assert session.path is not None
    words = words_of(copied[copied.index("llama-server -m ") :])
    assert words[:3] == [b"llama-server", b"-m", os.fsencode(session.path)]


def test_the_page_of_a_server_shows_the_command_as_it_can_be_typed(session: Session) -> None:
    command = ("/bin/llama-server", "-m", str(session.path))
    record = ServerRecord(Path("/s"), 1, "", command[0], "b11434", str(session.path), command, "127.0.0.1", 1, 0.0)
    shown = "".join(text for row in about_page(record, (), False, 500) for text, _ in row)
    assert r"not utf-8 \377 \033]52;c;eA==\007.gguf'" in shown


@pytest.mark.parametrize("kind", [COMMAND, SCRIPT, ENVIRONMENT, UNIT, SWAP, PRESET])
def test_an_export_names_the_file_or_refuses(session: Session, tmp_path: Path, kind: Format) -> None:
    assert session.path is not None
    assert session.request is not None
    printer = tmp_path / "llama-server"
    printer.write_text('#!/bin/sh\nprintf \'%s\\0\' "$@" "${LLAMA_ARG_MODEL-}"\n')
    printer.chmod(0o755)
    binary = ServerBinary(printer, "b11434", "version", "", ("CPU",), parse_help(HELP))
    plan = quick_plan(session.request)
    if kind in (SWAP, PRESET, ENVIRONMENT):
        with pytest.raises(ExportError) as refused:
            export(kind, plan, session, binary, tmp_path)
        assert "\n" not in str(refused.value)
        assert not list(tmp_path.glob("llama-server-*"))
        return
    done = export(kind, plan, session, binary, tmp_path)
    if kind == COMMAND:
        assert os.fsencode(session.path) in words_of(done.text)
        return
    assert done.path is not None
    if kind == UNIT:
        assert r"not utf-8 \xff \x1b]52;c;eA==\x07.gguf" in done.path.read_text()
        return
    said = subprocess.run(["sh", done.path], capture_output=True, check=True).stdout.split(b"\0")
    assert os.fsencode(session.path) in said
