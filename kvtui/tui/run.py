"""The screens one after the other: the list of models, and the app for the one that was chosen."""

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kvtui.base.exit_codes import EXIT_UNFORESEEN, by_signal
from kvtui.base.findings import UsageError
from kvtui.base.late import Late
from kvtui.base.text import printable
from kvtui.tasks.last_request import described, last_request
from kvtui.tui.app import KvtuiApp
from kvtui.tui.keys.commands import key_named
from kvtui.tui.session import Session
from kvtui.tui.state import State
from kvtui.tui.taste import known_taste
from kvtui.tui.themes import chosen_theme, load_themes
from kvtui.tui.work.boundary import GuardedApp, failure_sentence

if TYPE_CHECKING:
    from kvtui.tui.picker.app import picker
else:  # not needed by the first screen
    picker = Late("kvtui.tui.picker.app", "picker")

Result = TypeVar("Result")


def run_app(session: Session) -> None:
    """Run the app in this terminal, a model after the other until the person leaves. SystemExit where it broke or a
    signal ended it; UsageError where this terminal cannot show it, or no theme is called so."""
    if os.environ.get("TERM") == "dumb":
        raise UsageError(
            "this terminal (TERM=dumb) cannot show the app: kvtui plan MODEL prints the plan, kvtui table MODEL the pairs"
        )
    themes = load_themes()[0]
    chosen_theme(themes, session.theme, os.environ)  # refused before anything is drawn
    state: State | None = None
    while True:
        if session.request is not None:
            state = _run(KvtuiApp(session, state or first_state(session)))
            if state is None:
                return
        look = chosen_theme(themes, session.theme, os.environ, known_taste().theme)
        assert session.opener is not None
        chosen = _run(picker(session, look, session.opener))
        if chosen is not None:
            session, state = chosen, None
        elif session.request is None:
            return


def first_state(session: Session) -> State:
    """What a model opens with: what was asked of it the last time, as a change of the defaults that can be undone."""
    assert session.request is not None
    plain = State(session.request, simulated=session.simulated, model_flags=session.model_flags)
    kept = None if session.demo else last_request(session.request)
    request = session.request if kept is None else kept.over(session.request, session.given)
    if request == session.request:
        return plain
    notice = f"as last time: {described(request)}; {key_named(session.commands, 'undo')} goes back to the defaults"
    return replace(plain, request=request, past=(plain.asked,), notice=notice)


def _run(app: GuardedApp[Result]) -> Result | None:
    try:
        result = app.run(mouse=False)  # no key needs it, and the terminal's own selection works
    except Exception as error:  # outside any handler: the terminal could not be taken, or not be given back
        app.failure = app.failure or failure_sentence(error, "the app")
        result = None
    if app.failure:
        print(f"kvtui: {printable(app.failure)}", file=sys.stderr)
        raise SystemExit(EXIT_UNFORESEEN)
    if app.ended_by:
        raise SystemExit(by_signal(app.ended_by))
    return result
