"""The worker that lists a repository: the Hub's answer first, then a plan a header. It says all by messages."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from textual.message import Message

from kvtui.header.hub_name import hub_name
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.placement.fitting import Fitting, Offer

_STEP_BYTES = 512 << 10  # of a header, between two messages on how far it is


@dataclass
class Listed(Message):
    """What the Hub has. `ended` says which listing it is of."""

    ended: Event
    usual: str
    offers: tuple["Offer", ...]


@dataclass
class Reading(Message):
    """So much of the header under way was read."""

    ended: Event
    read_bytes: int


@dataclass
class Fitted(Message):
    """The next row."""

    ended: Event
    row: "Fitting"


@dataclass
class NotListed(Message):
    """Why the list ends here; one sentence."""

    ended: Event
    problem: str


class _Ended(Exception):
    """Nobody waits for the list any more."""


def list_repository(name: str, options: Options, ended: Event, post: Callable[[Message], object]) -> Message | None:
    """Posts the list and its rows until `ended` is set. Raises UsageError."""
    from kvtui.tasks.fitting import fittings, repository_offers

    said = 0

    def watch(read_bytes: int = 0) -> None:
        nonlocal said
        if ended.is_set():
            raise _Ended
        if read_bytes - said >= _STEP_BYTES or read_bytes < said:
            said = read_bytes
            post(Reading(ended, read_bytes))

    try:
        usual, offers = repository_offers(hub_name(name), watch)
        post(Listed(ended, usual, offers))
        for row in fittings(offers, options, watch):
            watch()
            post(Fitted(ended, row))
    except _Ended:
        pass
    return None
