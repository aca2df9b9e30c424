"""The keys that look into a plan: its tensors, and another plan beside it, kept as A while what follows is B."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.tui.draw.two_plans import TWO_PLANS, two_plans_lines
from kvtui.tui.keys.asking import Menu
from kvtui.tui.state import SEARCHING, KeptPlan
from kvtui.tui.what_if import WhatIfDesk

if TYPE_CHECKING:
    from kvtui.tui.draw.tensors import tensor_rows
else:  # not needed by the first screen
    tensor_rows = Late("kvtui.tui.draw.tensors", "tensor_rows")


class ComparingDesk(WhatIfDesk):
    """The desk with a plan put aside, and with the tensors of the one on the screen."""

    def list_tensors(self) -> None:
        """Tensors of the block under the cursor; what is typed there can be taken back to see all."""
        plan = self.state.plan
        if plan is None or self.state.working == SEARCHING:
            self.notice("the plan is not ready yet")
            return
        blocks = plan.request.model.n_layer_all
        typed = f"blk.{self.state.cursor}." if self.state.cursor < blocks else "output"
        self.ask(Menu("tensors, and why they are there", tuple(tensor_rows(plan)), typed=typed))

    def compare_plans(self) -> None:
        """Keep what is on the screen as A; once something is kept, both beside each other."""
        state = self.state
        if state.kept is not None:
            self.open_page(TWO_PLANS, tuple(two_plans_lines(state, self.page_room())))
        elif state.plan is None or state.working == SEARCHING:
            self.notice("the plan is not ready yet")
        else:
            kept = KeptPlan(state.asked, state.plan)
            keys = (state.key(name) for name in ("keep as A, compare", "swap A and B", "forget A"))
            notice = "kept as A; what is changed from here on is B: {} compares, {} swaps, {} forgets A".format(*keys)
            self.become(replace(state, kept=kept, notice=notice))

    def swap_plans(self) -> None:
        """A on the screen, and what was there as A."""
        state = self.state
        if state.kept is None:
            self._tell_none()
        elif state.plan is None or state.working == SEARCHING:
            self.notice("the plan is not ready yet")
        else:
            asked, kept = state.kept.asked, KeptPlan(state.asked, state.plan)
            self.state = replace(state, kept=kept, known=asked.known)
            self.change(asked.request, "A and B changed places")

    def forget_plan(self) -> None:
        """No A."""
        if self.state.kept is None:
            self._tell_none()
        else:
            self.become(replace(self.state, kept=None, notice="A is forgotten"))

    def _tell_none(self) -> None:
        self.notice(f"no plan is kept as A: {self.state.key('keep as A, compare')} keeps the one on the screen")
