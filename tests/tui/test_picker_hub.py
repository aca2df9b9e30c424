"""A repository of the Hub in the list of models, as a person reaches it: typed, pasted, or named on the command line."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from header_archive import HeaderArchive
from hub_stand_in import Hub, Stored, in_two_parts, serving
from textual.events import Paste

from kvtui.cli.naming import named_model
from kvtui.header.shelf import Place
from kvtui.placement.request import Request
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options
from kvtui.tui.picker.app import PickerApp
from kvtui.tui.session import Session
from kvtui.tui.themes import chosen_theme, load_themes
from tests.tui.waiting import until

REPO = "hf:someone/Some-Model-GGUF"
HERE = Options(device=("CUDA0=23GiB/24GiB@936GB/s",), ram="60GiB@60GB/s", ctx_size="8192")


@pytest.fixture
def hub(headers: HeaderArchive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    small = headers._index["gemma3-dense"]["size"]
    one, two = in_two_parts(headers.head("gemma3-dense"), small)
    stored = {
        "Some-BF16-00001-of-00002.gguf": one,
        "Some-BF16-00002-of-00002.gguf": two,
        "Some-Q4_K_M.gguf": Stored(headers.head("gemma-3-27b-q4_k_m"), headers._index["gemma-3-27b-q4_k_m"]["size"]),
        "Some-Q8_0.gguf": Stored(files("kvtui.data").joinpath("kimi-k2.head").read_bytes(), 666_071_228_960),
    }
    for name in ("HF_TOKEN", "MODEL_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with serving(Hub({REPO.removeprefix("hf:"): stored})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def opener(name: str) -> Request:
    return request_of(load(named_model(name), HERE, lambda _: None), HERE)


def picker(folder: Path, asked: str = "") -> PickerApp:
    from kvtui.tasks.opening import machine_of

    session = Session(path=None, request=None, machine=machine_of(HERE), simulated=True, options=HERE, asked=asked)
    return PickerApp(session, chosen_theme(load_themes()[0], None, {}), (Place("here", folder),), opener)


def rows(app: PickerApp) -> dict[str, list[str]]:
    """The cells of each row by its name, and the one under the cursor as `>`."""
    found: dict[str, list[str]] = {}
    for text in app.pane.text().splitlines():
        words = text.split()
        if words[:1] == [">"]:
            found[">"] = words[1:2]
            words = words[1:]
        if words and words[0] in ("BF16", "Q4_K_M", "Q8_0"):
            found[words[0]] = words[1:]
    return found


async def test_a_repository_is_typed_its_rows_are_read_and_one_is_opened(hub: Hub, tmp_path: Path) -> None:
    app = picker(tmp_path)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press(*REPO)
        assert hub.asked == []  # not before it is whole
        await pilot.press("enter")
        await until(pilot, lambda: "3 models" in app.pane.text())
        assert rows(app)["BF16"][2:] == ["yes", "all", "on", "CUDA0"]
        assert rows(app)["Q4_K_M"][2:] == ["yes", "all", "on", "CUDA0"]
        assert rows(app)["Q8_0"][2] == "no"
        assert rows(app)[">"] == ["Q4_K_M"]
        assert "what llama-server takes unless another is named" in app.pane.text()
        await pilot.press("up")
        assert rows(app)[">"] == ["BF16"]
        await pilot.press("enter")
        await until(pilot, lambda: app.return_value is not None)
    chosen = app.return_value
    assert chosen is not None
    assert chosen.path is None
    assert chosen.model == f"{REPO}:BF16"
    assert chosen.model_flags == ("-hf", "someone/Some-Model-GGUF:BF16", "--no-mmproj")
    assert chosen.request is not None
    assert chosen.request.model.architecture == "gemma3"


async def test_what_is_pasted_is_listed_at_once(hub: Hub, tmp_path: Path) -> None:
    app = picker(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.post_message(Paste(f"{REPO}\n"))
        await until(pilot, lambda: "3 models" in app.pane.text())
        assert set(rows(app)) == {">", "BF16", "Q4_K_M", "Q8_0"}


async def test_what_the_command_line_names_is_listed_at_once(hub: Hub, tmp_path: Path) -> None:
    app = picker(tmp_path, asked=REPO)
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: "3 models" in app.pane.text())
        assert rows(app)["Q8_0"][2] == "no"


async def test_listing_shows_how_far_it_is_and_esc_ends_it(hub: Hub, tmp_path: Path) -> None:
    hub.holding = True
    app = picker(tmp_path, asked=REPO)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading header 1 of 3" in app.pane.text())
        assert rows(app)["Q8_0"] == ["620.3", "GiB", "..."]
        await pilot.press("escape")
        assert f"repository, Enter lists it: {REPO}_" in app.pane.text()
        hub.hold.set()
        await until(pilot, lambda: all(t.name != "listing the repository" for t in threading.enumerate()))
        assert len([a for a in hub.asked if a.server == "cdn"]) == 1  # the header under way, and none after it
        await pilot.press("escape", "escape")
    assert app.return_value is None


async def test_leaving_waits_for_no_network(hub: Hub, tmp_path: Path) -> None:
    """The stand-in holds its answer until this test is over: an app that waited for it would not end."""
    hub.holding = True
    app = picker(tmp_path, asked=REPO)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading header 1 of 3" in app.pane.text())
        await pilot.press("ctrl+q")
    assert app.return_value is None
    assert not hub.hold.is_set()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("hf:someone/none", "has no such repository"),
        ("hf:someone", "written as hf:ORG/REPO"),
        (f"{REPO}:Q5_0", "no such q"),
    ],
)
async def test_what_is_not_there_is_said_and_what_was_typed_stays(hub: Hub, tmp_path: Path, typed: str, sentence: str) -> None:
    app = picker(tmp_path)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press(*typed, "enter")
        await until(pilot, lambda: sentence in app.pane.text())
        assert f"{typed}_" in app.pane.text()


async def test_a_row_that_cannot_be_opened_says_why_and_the_list_stays(hub: Hub, tmp_path: Path) -> None:
    stored = hub.repos[REPO.removeprefix("hf:")]
    stored["Some-Q8_0.gguf"] = replace(stored["Some-Q8_0.gguf"], head=b"no model")
    app = picker(tmp_path, asked=REPO)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "3 models" in app.pane.text())
        assert rows(app)["Q8_0"][2] == "no"
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.state.repository is not None and not app.state.repository.opening)
        assert "Some-Q8_0.gguf: this is no GGUF file" in app.pane.text()
        assert rows(app)["Q4_K_M"][2] == "yes"
        assert app.return_value is None
