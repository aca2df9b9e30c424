"""What is watched of a server that serves: from its log and its counters to a line on the screen."""

from dataclasses import replace
from pathlib import Path

import pytest

from kvtui.server.http.client import Slot
from kvtui.server.http.figures import cache_share, draft_share, generated
from kvtui.server.log.serving import Serving
from kvtui.server.measure.grown import Grown, grown
from kvtui.tui.draw.room import Room
from kvtui.tui.draw.watched import watched_lines
from kvtui.tui.state import ServerView
from kvtui.tui.watched import SAMPLES, Watched

MIB = 2**20
LOG = (Path(__file__).parents[1] / "data" / "serving.log").read_text().splitlines()  # of llama-server with two prompts
WIDE = Room(118, 20, unicode=True, colour=True)


def text(server: ServerView, room: Room) -> list[str]:
    return ["".join(part for part, _ in content) for content in watched_lines(server, room)]


def at(words: str) -> int:
    """The number of lines up to the first with these words."""
    return next(i for i, said in enumerate(LOG, 1) if words in said)


def test_a_prompt_goes_on_by_the_log_and_is_over_with_its_last_batch() -> None:
    begun = Serving().after(LOG[: at("new prompt")])
    assert begun.prompts == (0.0,)
    half = begun.after(LOG[at("new prompt") : at("cached n_tokens = 486")])
    assert half.prompts == (486 / 1002,)
    assert half.after(LOG[at("cached n_tokens = 486") : at("init sampler")]).prompts == ()


def test_checkpoints_are_those_that_are_kept_now() -> None:
    whole = Serving().after(LOG)
    assert (whole.checkpoints, whole.prompts) == (2, ())
    erased = "0.20.000.000 I slot   operator(): id  1 | task 99 | erased invalidated context checkpoint (pos_min = 0)"
    assert whole.after([erased]).checkpoints == 1
    assert whole.after(["0.20.000.000 I srv  update_slots: all slots are idle"]) is whole


def test_an_answer_under_way_is_counted_before_the_server_does() -> None:
    slots = (Slot(0, 2048, 100, True, 7), Slot(1, 2048, 100, False))
    assert generated({"tokens_predicted_total": 60.0}, slots) == 67
    assert generated({}, slots) is None


@pytest.mark.parametrize(
    ("counters", "share"),
    [
        ({"prompt_tokens_cached_total": 1001.0, "prompt_tokens_total": 1003.0}, 1001 / 2004),
        ({"prompt_tokens_cached_total": 0.0, "prompt_tokens_total": 0.0}, None),  # nothing asked yet
        ({"prompt_tokens_total": 1003.0}, None),  # a build that does not count what it did not compute
    ],
)
def test_a_share_is_absent_where_it_is_not_counted(counters: dict[str, float], share: float | None) -> None:
    assert cache_share(counters) == share
    names = {"prompt_tokens_cached_total": "accepted", "prompt_tokens_total": "draft"}
    drafts = {f"spec_decode_num_{names[k]}_tokens_total": v for k, v in counters.items()}
    assert (draft_share(drafts) is None) == (share is None)


def test_what_grew_stands_beside_what_was_said() -> None:
    plan = {
        "devices": [{"name": "CUDA0", "growth_bytes": 64 * MIB}],
        "host": {"prompt_cache_bytes": 8192 * MIB, "checkpoint_bytes": 200 * MIB},
    }
    found = grown(plan, {"CUDA0": 1000 * MIB, "RAM": 500 * MIB}, {"CUDA0": 1030 * MIB, "RAM": 610 * MIB})
    assert found == (Grown("CUDA0", 30 * MIB, 64 * MIB), Grown("RAM", 110 * MIB, 8392 * MIB))
    assert grown(plan, {"CUDA0": 1000 * MIB}, {}) == ()  # the driver tells no more of it
    assert grown({}, {"RAM": 1}, {"RAM": 2}) == ()


def serving(busy: bool = True) -> ServerView:
    watched = Watched(serving=Serving().after(LOG[: at("cached n_tokens = 486")])).after(12.5, 1)
    slots = (Slot(0, 2048, 0, False), Slot(1, 2048, 1024, busy, 3))
    counters = {"prompt_tokens_cached_total": 300.0, "prompt_tokens_total": 700.0}
    watched = watched.seen(slots, counters, [Grown("RAM", 110 * MIB, 8392 * MIB)])
    return ServerView("ready", running=True, ready=True, used=1024, context=4096, watched=watched)


def test_a_wide_pane_shows_all_of_it() -> None:
    shown = "\n".join(text(serving(), WIDE))
    for words in ("1/2 busy", "██████      ", "█ 12.5 tok/s", "prompt 49%", "cached 30%", "RAM grew 112 MiB of 8,392 MiB"):
        assert words in shown
    assert "drafts" not in shown  # this server drafts nothing
    assert len(text(serving(), replace(WIDE, width=78))) == 2


def test_a_low_pane_gives_it_one_line_of_whole_figures() -> None:
    (only,) = text(serving(), Room(78, 7, unicode=False, colour=False))
    assert len(only) <= 78
    assert "1/2 busy" in only
    assert "prompt 49% " in only
    assert only.isascii()


def test_nothing_is_shown_of_what_does_not_serve_and_idleness_changes_nothing() -> None:
    assert text(replace(serving(), ready=False), WIDE) == []
    idle = Watched().after(0.0, 1)
    assert idle.after(0.0, 3) == idle
    assert idle.rates == (0.0,) * SAMPLES
    assert Watched().after(None, 1) == Watched()
    assert "tok/s" not in "\n".join(text(ServerView("ready", running=True, ready=True, watched=idle), WIDE))
