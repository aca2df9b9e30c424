"""Choosing a model as a person does it: a real file found, filtered for, and opened."""

import struct
from pathlib import Path
from threading import Event

from kvtui.base.findings import UsageError
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import HostMemory, Machine
from kvtui.header.shelf import Place
from kvtui.model.load import load_model
from kvtui.placement.request import Request
from kvtui.tui.picker.app import PickerApp
from kvtui.tui.session import Session
from kvtui.tui.themes import chosen_theme, load_themes
from tests.conftest import HeaderArchive
from tests.tui.waiting import until

RAM = Machine((), HostMemory(64 * 2**30, 64 * 2**30, bandwidth=5e10))


def tiny(path: Path, architecture: str) -> None:
    """A GGUF file of one key and no tensor."""
    text = architecture.encode()
    key = b"general.architecture"
    path.parent.mkdir(parents=True, exist_ok=True)
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + pair + b"\0" * 64)


def opener(name: str) -> Request:
    if not Path(name).exists():
        raise UsageError(f"{name}: no such file")
    return Request(load_model(Path(name)), ContextParams(), RAM, (2**30,))


def picker(folder: Path) -> PickerApp:
    session = Session(path=None, request=None, machine=RAM, simulated=False)
    return PickerApp(session, chosen_theme(load_themes()[0], None, {}), (Place("here", folder),), opener)


async def test_a_model_is_found_filtered_for_and_opened(tmp_path: Path, headers: HeaderArchive) -> None:
    tiny(tmp_path / "one" / "alpha-Q4_K_M.gguf", "llama")
    headers.write("gemma3-dense", tmp_path).rename(tmp_path / "beta.gguf")
    app = picker(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "gemma3" in app.pane.text() and "llama" in app.pane.text())
        assert "2 of 2 models" in app.pane.text()
        await pilot.press(*"gemma3")
        await until(pilot, lambda: "1 of 2 models" in app.pane.text())
        assert " > beta.gguf" in app.pane.text()
        await pilot.press("enter")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert app.return_value.path == tmp_path / "beta.gguf"
    assert app.return_value.request is not None
    assert app.return_value.request.model.architecture == "gemma3"


async def test_a_typed_path_that_is_not_there_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    app = picker(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "none here" in app.pane.text())
        await pilot.press(*"/no.gguf", "enter")
        await until(pilot, lambda: "/no.gguf: no such file" in app.pane.text())
        assert "path: /no.gguf_" in app.pane.text()
        await pilot.press("escape", "escape")
    assert app.return_value is None


async def test_escape_gives_up_a_model_that_is_slow_and_its_late_answer_is_dropped(
    tmp_path: Path, headers: HeaderArchive
) -> None:
    model = headers.write("gemma3-dense", tmp_path)
    slow, answered = Event(), Event()

    def waiting(name: str) -> Request:
        assert slow.wait(60)
        answered.set()
        return opener(name)

    app = picker(tmp_path)
    app.opener = waiting
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: " > " in app.pane.text())
        await pilot.press("enter")
        assert "reading the header: Esc gives it up" in app.pane.text()
        await pilot.press("escape")
        assert "opening was given up" in app.pane.text()
        slow.set()
        await until(pilot, answered.is_set)
        assert app.is_running
        await pilot.press("enter")  # and opened after all
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert app.return_value.path == model
