"""The screens one after the other: the list of models, and the app for the one that was chosen."""

import os
from dataclasses import replace

from kvtui.tui.app import KvtuiApp
from kvtui.tui.session import Session
from kvtui.tui.themes import chosen_theme, load_themes


def run_app(session: Session) -> None:
    """Run the app in this terminal, a model after the other until the person leaves."""
    lean = session.lean if session.lean is not None else "SSH_CONNECTION" in os.environ
    while True:
        if session.request is None:
            from kvtui.tui.picker.app import choose

            assert session.opener is not None
            chosen = choose(session, chosen_theme(load_themes()[0], session.theme, os.environ), session.opener)
            if chosen is None:
                return
            session = chosen
        if not KvtuiApp(session).run(mouse=not lean):
            return
        session = replace(session, path=None, request=None)
