"""The guide's pages for a plan, whichever front end shows them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvtui.placement.table import rows_of
from kvtui.report.guide import (
    CHOICE_PAIRS,
    Guide,
    costs,
    full_window,
    hidden_formula,
    kimi_lines,
    tensor_split_needs,
    type_lines,
)
from kvtui.tasks.demo import demo_request

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan


def guide_of(plan: "Plan | None") -> tuple[Guide, str]:
    """(the guide, with its choices' costs where there is a plan; where its figures for Kimi come from)."""
    kimi = demo_request().model
    guide = Guide(type_lines(), kimi_lines(kimi))
    if plan is not None:
        spec, context = plan.request.model, plan.request.context
        wanted = dict.fromkeys((*CHOICE_PAIRS, *[(v, k) for k, v in CHOICE_PAIRS]))
        guide = replace(
            guide,
            costs=costs(rows_of(plan, wanted, contexts=False)),
            tensor_split=tensor_split_needs(spec, context, len(plan.request.machine.devices)),
            full_window=full_window(spec, context),
        )
    return guide, hidden_formula(kimi)
