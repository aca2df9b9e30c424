"""The key that looks a command over: pasted, or that of the llama-server that runs."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.base.shell import shell_line
from kvtui.placement.request import Request
from kvtui.tasks.last_request import described
from kvtui.tui.keys.asking import Prompt
from kvtui.tui.lines import Line, line
from kvtui.tui.what_if import WhatIfDesk

if TYPE_CHECKING:
    from kvtui.report.review import review_lines
    from kvtui.server.process.record import is_alive
    from kvtui.tui.draw.server_pages import folded
    from kvtui.tui.work.messages import NotReviewed, ReviewReady
    from kvtui.tui.work.review import Screen, review_page
else:  # not needed by the first screen
    review_lines = Late("kvtui.report.review", "review_lines")
    is_alive = Late("kvtui.server.process.record", "is_alive")
    review_page = Late("kvtui.tui.work.review", "review_page")
    folded = Late("kvtui.tui.draw.server_pages", "folded")
    Screen = Late("kvtui.tui.work.review", "Screen")
    NotReviewed = Late("kvtui.tui.work.messages", "NotReviewed")

REVIEW = "a command, and our plan"
_MOST_TYPED = 16_384  # characters: a long -ot for each block
_HINT = "paste a llama-server command; nothing at all: that of the server that runs here"


class ReviewDesk(WhatIfDesk):
    """The desk with commands that are looked over."""

    def review_command(self) -> None:
        """Asks for a command; while a server of ours runs, its own stands there."""
        process = self.server.process
        record = process.record if process is not None and is_alive(process.record) else None
        own = shell_line(record.command) if record is not None else ""

        def take(text: str) -> None:
            self._review(text, record.pid if record is not None and text == own else None)

        self.ask(Prompt("command", take, text=own, limit=_MOST_TYPED, hint=_HINT, selected=bool(own), many_lines=True))

    def _review(self, text: str, pid: int | None) -> None:
        state, session = self.state, self.session
        screen = Screen(state.request, session.path, state.simulated or session.demo or state.what_if)
        self.open_page(REVIEW, (line(("  working out what it holds", "dim")),))
        self.work(
            "looking a command over", partial(review_page, text, pid, screen, session.options), NotReviewed, left_behind=True
        )

    def on_review_ready(self, message: "ReviewReady") -> None:
        """What the command line prints; Enter takes what it asks for."""
        model = self.session.model_flags if message.same_model else ("-m", message.model)
        lines: list[Line] = []
        for text in review_lines(message.review, model):
            lines += folded(text, self.size.width)
        asked = message.review.request.context if message.same_model else None
        self._tell(tuple(lines), None if asked is None else replace(self.state.request, context=asked))

    def on_not_reviewed(self, message: "NotReviewed") -> None:
        """Why not, in the page's place."""
        self._tell(tuple(folded(message.text, self.size.width, "warning")), None)

    def _tell(self, lines: tuple[Line, ...], takes: Request | None) -> None:
        page = self.state.page
        if page is not None and page.title == REVIEW:
            self.become(replace(self.state, page=replace(page, lines=lines, takes=takes)))

    def take_page(self) -> None:
        """The context, types, slots and batches of the command, planned."""
        page = self.state.page
        if page is None or page.takes is None:
            self.notice("there is nothing to take on this page")
            return
        self.become(replace(self.state, page=None))
        self.change(page.takes, f"as the command asks: {described(page.takes)}; u takes it back")
