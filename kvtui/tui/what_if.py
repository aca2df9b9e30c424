"""The keys of a supposed machine: a card more, one less, and back."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.base.sizes import gib
from kvtui.tui.draw.amounts import short_card
from kvtui.tui.keys.asking import Choice, Menu
from kvtui.tui.keys.changes import Change
from kvtui.tui.keys.what_if import HERE, Had, as_had, with_card, without_device
from kvtui.tui.pairs import PairsDesk

if TYPE_CHECKING:
    from kvtui.hardware.cards import all_cards
else:  # not needed by the first screen
    all_cards = Late("kvtui.hardware.cards", "all_cards")


class WhatIfDesk(PairsDesk):
    """The desk with what a person supposes of the machine."""

    def suppose(self) -> None:
        """A list of cards to add, and of devices to take away; letters narrow it."""
        cards = [c for c in all_cards() if not c.shared]  # a pool with another RAM is another machine
        more = [
            Choice(
                f"+ {c.name}, {gib(c.total_bytes, 0)}, {c.bandwidth / 1e9:,.0f} GB/s",
                partial(self._suppose, partial(with_card, name=c.name)),
            )
            for c in cards
        ]
        less = [
            Choice(f"- {d.name} {short_card(d.description)}", partial(self._suppose, partial(without_device, name=d.name)))
            for d in self.state.request.machine.devices
        ]
        self.ask(Menu("what if: a card more (letters find it, as 3090), or - one less", (*more, *less)))

    def _suppose(self, change: "Callable[..., Change]") -> None:
        state = self.state
        changed = change(state.request)
        if not state.what_if and changed.request != state.request:
            row = next((r for r in state.rows if r.pair == state.pair), None) if state.rows_of == state.generation else None
            self.state = replace(state, had=Had(state.request, state.plan, row.max_context if row is not None else None))
        self.change(changed.request, changed.notice)

    def drop_suppositions(self) -> None:
        """The machine that is here; all else stays as it is now."""
        if self.state.had is None or not self.state.what_if:
            self.notice(f"this is {HERE}: {self.state.key('what if')} supposes another")
            return
        self.change(as_had(self.state.request, self.state.had), HERE)
