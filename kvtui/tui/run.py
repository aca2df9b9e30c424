"""The screens one after the other: the list of models, and the app for the one that was chosen."""

import os
import sys
from dataclasses import replace
from typing import TypeVar

from kvtui.base.text import printable
from kvtui.tui.app import KvtuiApp
from kvtui.tui.picker.app import picker
from kvtui.tui.session import Session
from kvtui.tui.themes import chosen_theme, load_themes
from kvtui.tui.work.boundary import EXIT_FAILED, GuardedApp, failure_sentence

Result = TypeVar("Result")
EXIT_BY_SIGNAL = 128  # and the signal's number: what a shell says of it (POSIX, 2.8.2)


def run_app(session: Session) -> None:
    """Run the app in this terminal, a model after the other until the person leaves. SystemExit where it broke or a
    signal ended it."""
    lean = session.lean if session.lean is not None else "SSH_CONNECTION" in os.environ
    while True:
        if session.request is None:
            look = chosen_theme(load_themes()[0], session.theme, os.environ)
            assert session.opener is not None
            chosen = _run(picker(session, look, session.opener), mouse=False)
            if chosen is None:
                return
            session = chosen
        if not _run(KvtuiApp(session), mouse=not lean):
            return
        session = replace(session, path=None, request=None)


def _run(app: GuardedApp[Result], mouse: bool) -> Result | None:
    try:
        result = app.run(mouse=mouse)
    except Exception as error:  # outside any handler: the terminal could not be taken, or not be given back
        app.failure = app.failure or failure_sentence(error, "the app")
        result = None
    if app.failure:
        print(f"kvtui: {printable(app.failure)}", file=sys.stderr)
        raise SystemExit(EXIT_FAILED)
    if app.ended_by:
        raise SystemExit(EXIT_BY_SIGNAL + app.ended_by)
    return result
