"""A model that is not on this machine, in the app: planned as any other, and taken along as a command that downloads it."""

from pathlib import Path

import pytest

from kvtui.header.address import ModelAddress
from kvtui.placement.plan import quick_plan
from kvtui.server.binary.inspect import ServerBinary
from kvtui.tasks.demo import demo_request
from kvtui.tasks.exporting import COMMAND, ENVIRONMENT, PRESET, SCRIPT, SWAP, UNIT, Format
from kvtui.tui.app import KvtuiApp
from kvtui.tui.run import first_state
from kvtui.tui.server.exporting import export
from kvtui.tui.session import Session
from tests.tui.waiting import until

NAMES = [
    ("hf:someone/Some-GGUF:Q4_K_M", "-hf someone/Some-GGUF:Q4_K_M --no-mmproj"),
    ("https://host/some.gguf?token=secret", "-mu https://host/some.gguf"),
]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def session(name: str) -> Session:
    request = demo_request()
    return Session(path=None, request=request, machine=request.machine, simulated=True, remote=ModelAddress(name))


@pytest.mark.parametrize(("name", "flags"), NAMES)
async def test_its_command_downloads_it_and_a_launch_says_so(name: str, flags: str) -> None:
    one = session(name)
    app = KvtuiApp(one, first_state(one))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.plan is not None)
        await pilot.press("y")
        await until(pilot, lambda: "command, copied" in app.screen_text())
        assert f"llama-server {flags} --fit off" in app.screen_text()
        await pilot.press("escape", "L")
        await until(pilot, lambda: "is not on this machine" in " ".join(app.screen_text().split()))
        assert "secret" not in app.screen_text()


@pytest.mark.parametrize(("name", "flags"), NAMES)
@pytest.mark.parametrize("kind", [COMMAND, SCRIPT, UNIT, SWAP])
def test_an_export_downloads_it(kind: Format, name: str, flags: str, tmp_path: Path) -> None:
    one = session(name)
    assert one.request is not None
    text = export(kind, quick_plan(one.request), one, binary(), tmp_path).text
    words = text.replace("\\\n", " ").replace("'", "").replace('"', "").split()
    at = words.index(flags.split()[0])
    assert words[at : at + len(flags.split())] == flags.split()
    assert "-m" not in words
    assert "secret" not in text


@pytest.mark.parametrize("kind", [PRESET, ENVIRONMENT])
def test_a_form_that_names_a_file_is_refused(kind: Format, tmp_path: Path) -> None:
    one = session(NAMES[0][0])
    assert one.request is not None
    with pytest.raises(ValueError, match="hf:someone/Some-GGUF:Q4_K_M is not on this machine"):
        export(kind, quick_plan(one.request), one, binary(), tmp_path)


def binary() -> ServerBinary:
    return ServerBinary(Path("/x/llama-server"), "b11434", "version", "", ("CPU",), ())
